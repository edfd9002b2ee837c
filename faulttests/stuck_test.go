//go:build unix

package faulttests_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// beyondShutdown is the time after the shutdown timeout within which a process must end.
const beyondShutdown = 3 * time.Second

// note commits n events on an exchange. Their filling selects the victim's behaviour.
func (l *lab) note(exchange, n int, conduct string) {
	l.t.Helper()
	w := writer{l: l, exchange: exchange, group: 1, fill: conduct}
	for range n {
		if err := w.write(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Go cannot end a goroutine: a hung handler occupies its worker indefinitely. Other workers take over its work, the log shows
// where it hangs, and its message is redelivered after the end of the process.
func TestAHandlerThatNeverReturnsIsReportedOnceTurnsTheProcessUnreadyAndDoesNotKeepItAlive(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	relay := l.relay(l.database, l.broker, nil)
	const limit, shutdownTimeout = 4, 2 * time.Second // the limit is parley's default
	s := l.child("consumer")
	s.Settings = []string{"PARLEY_HTTP_ADDRESS=127.0.0.1:0", "PARLEY_CONSUMER_HANDLER_TIMEOUT=2s", "PARLEY_CONSUMER_SHUTDOWN_TIMEOUT=2s"}
	p := spawn(t, s)
	p.works()
	const reported = "consumer: handler stuck, still running after its context ended"
	l.note(0, limit-1, "hang")
	eventually(t, "all stuck handlers but one are reported", func() bool { return p.heard(reported) == limit-1 })
	if code := p.ready(); code != http.StatusOK {
		t.Errorf("with %d stuck handlers of %d /readyz returned %d, want 200", limit-1, limit, code)
	}
	l.note(0, 500, "")
	eventually(t, "the other events have their effects", func() bool { n, err := l.effected(); return err == nil && n == 500 })
	l.note(0, 1, "hang")
	eventually(t, "the process is unready", func() bool { return p.ready() == http.StatusServiceUnavailable })
	eventually(t, "each stuck handler is reported", func() bool { return p.heard(reported) >= limit }) // the report follows the count
	took, code := p.terminated()
	if code != 1 {
		t.Errorf("the process ended with code %d, want 1, because handlers did not return", code)
	}
	if n := p.heard(reported); n != limit {
		t.Errorf("%d stuck handlers were reported %d times, want once each", limit, n)
	}
	if dumps := strings.Count(p.words(), reported); dumps != limit || !strings.Contains(p.words(), "main.hang") {
		t.Errorf("there are %d dumps, want %d with the hung function", dumps, limit)
	}
	t.Logf("the process ended %v after SIGTERM", took)
	if testenv.Late(t, took, shutdownTimeout+beyondShutdown) {
		t.Errorf("the process ended %v after SIGTERM, want at most %v", took, shutdownTimeout+beyondShutdown)
	}
	if !strings.Contains(p.words(), fmt.Sprintf("%d handlers did not return", limit)) {
		t.Error("the process did not report the handlers that did not return")
	}
	s.Settings = append(s.Settings, "VICTIM_FIXED=1")
	last := spawn(t, s)
	l.handled()
	last.stop()
	l.drained()
	relay.stop()
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("handlers that never return", limit))
}

var healthAddress = regexp.MustCompile(`listening for health checks" address=(\S+)`)

// ready requests /readyz and returns the status.
func (p *process) ready() int {
	p.t.Helper()
	m := healthAddress.FindStringSubmatch(p.words())
	if m == nil {
		p.t.Fatalf("the child serves no health endpoint; its output:\n%s", p.words())
	}
	c := http.Client{Timeout: 5 * time.Second}
	defer c.CloseIdleConnections()
	r, err := c.Get("http://" + m[1] + "/readyz")
	if err != nil {
		p.t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// terminated sends SIGTERM to the child and waits for its end.
func (p *process) terminated() (took time.Duration, code int) {
	p.t.Helper()
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	p.wait(p.ended, "the child ends")
	if !p.cmd.ProcessState.Exited() {
		p.t.Errorf("the child ended with %v; its output:\n%s", p.cmd.ProcessState, p.words())
	}
	return time.Since(begin), p.cmd.ProcessState.ExitCode()
}

// A broker behind a black hole does not respond, not even to the close of a connection. Running handlers may finish within the
// shutdown timeout. Waits for the broker are cancelled.
func TestAProcessThatIsStoppedInFrontOfABlackHoleEndsWithinItsShutdownTimeout(t *testing.T) {
	for _, c := range []struct{ name, conduct string }{{"its handlers end", "slow"}, {"its handlers hang", "hang"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			relay := l.relay(l.database, l.broker, nil)
			proxy, broker := through(t, l.broker)
			const shutdownTimeout, events = time.Second, 8
			s := l.child("callee") // a consumer and a relay
			s.Broker = broker
			s.Settings = []string{"PARLEY_CONSUMER_SHUTDOWN_TIMEOUT=1s", "PARLEY_RELAY_SHUTDOWN_TIMEOUT=1s", "PARLEY_BROKER_HEARTBEAT=30s"}
			p := spawn(t, s)
			p.works()
			relay.stop() // so that the child's relay is active and has a batch in flight
			l.note(0, events, c.conduct)
			eventually(t, "the handlers run", func() bool { n, err := l.tryCount(inHand); return err == nil && n > 0 })
			proxy.Blackhole()
			l.note(0, events, "")
			eventually(t, "the black hole holds data", func() bool { return proxy.Count(faultproxy.Held) > 0 })
			took, _ := p.terminated() // it may report that a connection was not closed cleanly
			t.Logf("the process ended %v after SIGTERM", took)
			if testenv.Late(t, took, shutdownTimeout+beyondShutdown) {
				t.Errorf("the process ended %v after SIGTERM, want at most %v", took, shutdownTimeout+beyondShutdown)
			}
			held := proxy.Count(faultproxy.Held)
			s.Broker, s.Settings = l.broker, append(s.Settings, "VICTIM_FIXED=1")
			proxy.Cut() // otherwise the broker's side stays open until its heartbeat times out
			last := spawn(t, s)
			l.handled()
			l.drained()
			last.stop()
			f := l.evidence().inEffect()
			f.check(t, 0)
			counts.add(t, f.row("SIGTERM in front of a black hole, "+c.name, held))
		})
	}
}

// inHand selects the effects of open transactions of handlers.
const inHand = `pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE 'INSERT INTO effects%'`
