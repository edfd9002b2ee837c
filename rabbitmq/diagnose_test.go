package rabbitmq_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// diagnose returns the findings for a broker with these URLs, one line for each finding.
func diagnose(t *testing.T, urls ...string) string {
	t.Helper()
	b, err := rabbitmq.New(&rabbitmq.Config{URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	var lines []string
	for _, f := range b.Diagnose(t.Context()) {
		lines = append(lines, string(f.Level)+" "+f.Name+": "+f.Detail+" -> "+f.Hint)
	}
	return strings.Join(lines, "\n")
}

func wantLines(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the findings do not contain %q:\n%s", w, text)
		}
	}
}

func TestDiagnoseLooksAtEachNode(t *testing.T) {
	wantLines(t, diagnose(t, rabbitURL(t), "amqp://guest:guest@127.0.0.1:1/"),
		"fine broker: RabbitMQ", "fine broker: accepts and confirms messages", "problem broker: connect to 127.0.0.1:1", "check that the broker runs")
}

func TestDiagnoseSaysThatALoginIsRefusedAndShowsNoPassword(t *testing.T) {
	u, err := url.Parse(rabbitURL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("guest", "cAnArY")
	text := diagnose(t, u.String())
	wantLines(t, text, "problem broker", "check user, password and the permission for the virtual host")
	if n := strings.Count(text, "check user"); n != 1 {
		t.Errorf("the hint is there %d times:\n%s", n, text)
	}
	if strings.Contains(text, "cAnArY") || strings.Contains(text, string(parley.FindingFine)) {
		t.Errorf("found\n%s", text)
	}
}

// A connection that has published is not read during an alarm, so its closing handshake has no answer.
func TestDiagnoseEndsWhileTheBrokerHasAnAlarm(t *testing.T) {
	var cfg rabbitmq.Config
	p, _, _, _ := behindProxy(t, &cfg)
	p.SwallowConfirms(1)
	found := make(chan string, 1)
	go func() { found <- diagnose(t, cfg.URL) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var alarm time.Time
	limit := time.After(30 * time.Second)
	frames := 0
	for {
		select {
		case text := <-found:
			wantLines(t, text, "problem broker: accepts no messages: low on memory")
			if took := time.Since(alarm); testenv.Late(t, took, 5*time.Second) {
				t.Errorf("Diagnose took %v after the alarm, want about 1s", took)
			}
			return
		case <-tick.C:
			if p.Sent(faultproxy.BasicPublish) == 0 || frames == 10 {
				continue
			}
			frames++
			if alarm.IsZero() {
				alarm = time.Now()
				p.BlackholeToServer()
			}
			p.Block("low on memory") // a frame, like a heartbeat
		case <-limit:
			p.Cut()
			t.Fatalf("Diagnose has not returned %v after the alarm", time.Since(alarm))
		}
	}
}
