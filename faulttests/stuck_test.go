package faulttests_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/faultproxy"
)

// beyondGrace is how much longer than the grace of its handlers a process may take to end.
const beyondGrace = 3 * time.Second

// note commits n events on an exchange, whose filling tells the victim how to behave.
func (l *lab) note(exchange, n int, conduct string) {
	l.t.Helper()
	w := writer{l: l, exchange: exchange, group: 1, fill: conduct}
	for range n {
		if err := w.write(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Go cannot end a goroutine: what hangs occupies a lane for ever. The others take its work over as long as they are
// enough, the operator is told where it hangs, and the end of the process gives its message back.
func TestAHandlerThatNeverReturnsIsToldOnceTurnsTheProcessUnreadyAndDoesNotKeepItAlive(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	relay := l.relay(l.database, l.broker, nil)
	const limit, grace = 4, 2 * time.Second // the limit is parley's own
	s := l.child("consumer")
	s.Settings = []string{"PARLEY_HTTP_ADDRESS=127.0.0.1:0", "PARLEY_CONSUMER_HANDLER_TIMEOUT=200ms", "PARLEY_CONSUMER_GRACE=2s"}
	p := spawn(t, s)
	p.works()
	const told = "consumer: handler ignores the end of its context"
	l.note(0, limit-1, "hang")
	eventually(t, "all but one are told", func() bool { return p.heard(told) == limit-1 })
	if code := p.ready(); code != http.StatusOK {
		t.Errorf("with %d stuck handlers of %d the process answers %d, want that it is ready", limit-1, limit, code)
	}
	l.note(0, 500, "")
	eventually(t, "the other events have their effects", func() bool { n, err := l.effected(); return err == nil && n == 500 })
	l.note(0, 1, "hang")
	eventually(t, "the process is unready", func() bool { return p.ready() == http.StatusServiceUnavailable })
	eventually(t, "each stuck handler is told", func() bool { return p.heard(told) >= limit }) // after it has been counted
	took, code := p.terminated()
	if code != 1 {
		t.Errorf("the process ended with code %d, want that it tells what it has left behind", code)
	}
	if n := p.heard(told); n != limit {
		t.Errorf("%d stuck handlers were told %d times, want once each", limit, n)
	}
	if dumps := strings.Count(p.words(), told); dumps != limit || !strings.Contains(p.words(), "main.hang") {
		t.Errorf("there are %d dumps, want %d, with the function that hangs", dumps, limit)
	}
	t.Logf("the process ended %v after SIGTERM", took)
	if took > grace+beyondGrace {
		t.Errorf("the process ended %v after SIGTERM, want at most %v", took, grace+beyondGrace)
	}
	if !strings.Contains(p.words(), fmt.Sprintf("%d handlers did not return", limit)) {
		t.Error("the process did not tell that handlers had not returned")
	}
	s.Settings = append(s.Settings, "VICTIM_MENDED=1")
	last := spawn(t, s)
	l.handled()
	last.stop()
	l.drained()
	relay.stop()
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("handlers that never return", limit))
}

var healthAddress = regexp.MustCompile(`answers health checks" address=(\S+)`)

// ready asks a process whether it is ready, and returns the status.
func (p *process) ready() int {
	p.t.Helper()
	m := healthAddress.FindStringSubmatch(p.words())
	if m == nil {
		p.t.Fatalf("the child answers no health checks; it said:\n%s", p.words())
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

// terminated asks the child to end and wants it to do so by itself.
func (p *process) terminated() (took time.Duration, code int) {
	p.t.Helper()
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	p.wait(p.ended, "the child ends")
	if !p.cmd.ProcessState.Exited() {
		p.t.Errorf("the child ended with %v; it said:\n%s", p.cmd.ProcessState, p.words())
	}
	return time.Since(begin), p.cmd.ProcessState.ExitCode()
}

// A black hole answers nothing, not even the end of a connection. What runs may finish within its grace, what
// waits for the broker is given up.
func TestAProcessThatIsStoppedInFrontOfABlackHoleEndsWithinItsGrace(t *testing.T) {
	for _, c := range []struct{ name, conduct string }{{"its handlers end", "slow"}, {"its handlers hang", "hang"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			relay := l.relay(l.database, l.broker, nil)
			proxy, broker := through(t, l.broker)
			const grace, events = time.Second, 8
			s := l.child("callee") // a consumer and a relay
			s.Broker = broker
			s.Settings = []string{"PARLEY_CONSUMER_GRACE=1s", "PARLEY_RELAY_GRACE=1s", "PARLEY_BROKER_HEARTBEAT=30s"}
			p := spawn(t, s)
			p.works()
			relay.stop() // so that the child's own is active and has a batch on its way
			l.note(0, events, c.conduct)
			eventually(t, "the handlers run", func() bool { n, err := l.tryCount(inHand); return err == nil && n > 0 })
			proxy.Blackhole()
			l.note(0, events, "")
			eventually(t, "something meets the black hole", func() bool { return proxy.Count(faultproxy.Held) > 0 })
			took, _ := p.terminated() // it may tell that a connection did not end well
			t.Logf("the process ended %v after SIGTERM", took)
			if took > grace+beyondGrace {
				t.Errorf("the process ended %v after SIGTERM, want at most %v", took, grace+beyondGrace)
			}
			held := proxy.Count(faultproxy.Held)
			s.Broker, s.Settings = l.broker, append(s.Settings, "VICTIM_MENDED=1")
			proxy.Cut() // the broker's side of the hole is half open until its heartbeat ends
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

// inHand are the messages whose handlers have begun, but not ended their transactions.
const inHand = `pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE 'INSERT INTO effects%'`
