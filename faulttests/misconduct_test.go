//go:build unix

package faulttests_test

import (
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

// exitCode is the victim's exit code when a handler calls os.Exit.
const exitCode = 7

// A handler that panics or ends its goroutine has failed: its effect is rolled back, its message is retried by the plan and
// then parked, and the process continues. If a handler ends the process, its message is redelivered to the next process.
func TestHandlersThatPanicOrEndTheirGoroutineOrTheProcessHaveTheirEffectOnce(t *testing.T) {
	l := newLab(t, 1)
	relay := l.relay(l.database, l.broker, nil)
	const panicking, ending, exits = 10, 10, 2
	s := l.child("consumer")
	p := spawn(t, s)
	p.works()
	l.note(0, panicking, "panic")
	l.note(0, 100, "")
	l.note(0, ending, "goexit")
	l.note(0, 100, "")
	parkedQueue := l.queue + ".parked"
	eventually(t, "the messages that cannot be handled are parked", func() bool { n, err := l.ready(parkedQueue); return err == nil && n == panicking+ending })
	eventually(t, "the other messages are handled by the same process", func() bool { n, err := l.effected(); return err == nil && n == 200 })
	reasons := l.parkedReasons()
	if reasons["handler panicked: planned panic"] != panicking || reasons["handler ended its goroutine (runtime.Goexit)"] != ending {
		t.Errorf("the reasons of the parked messages are %v", reasons)
	}
	for range exits {
		l.note(0, 1, "exit")
		l.note(0, 20, "")
		p.wait(p.ended, "the handler ends the process")
		if code := p.cmd.ProcessState.ExitCode(); code != exitCode {
			t.Fatalf("the child ended with %v, want exit code %d", p.cmd.ProcessState, exitCode)
		}
		p = spawn(t, s)
		p.works()
	}
	replayed := l.settleParked(p)
	l.drained()
	p.stop()
	relay.stop()
	if replayed != panicking+ending {
		t.Errorf("%d messages were replayed, want the %d that were parked", replayed, panicking+ending)
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("panics, runtime.Goexit and os.Exit in handlers", panicking+ending+exits))
}

// parkedReasons counts the parked messages by the first line of their reason.
func (l *lab) parkedReasons() map[string]int {
	l.t.Helper()
	out := map[string]int{}
	err := parley.VisitParked(l.t.Context(), l.direct(), l.queue, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		reason, _, _ := strings.Cut(m.History.Reason, "\n") // the stack follows
		out[reason]++
		return parley.ParkedKeep, nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}
