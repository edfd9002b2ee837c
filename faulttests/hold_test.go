//go:build unix

package faulttests_test

import (
	"fmt"
	"testing"

	"github.com/parley-go/parley"
)

// The database holds a key: two processes, and the processes after them, do not handle its later events until the
// first one is handled.
func TestAKeyThatIsHeldByAParkedEventStaysHeldInTwoProcessesAndThroughRestarts(t *testing.T) {
	l := newLab(t, 1)
	relay := spawn(t, l.child("relay"))
	const keys, parked = 10, 100
	s := l.keeper(fmt.Sprint("VICTIM_KEYS=", keys), "VICTIM_HOLD=1")
	s.Fail, s.Park = 0, parked
	both := []*process{spawn(t, s), spawn(t, s)}
	restart := func() {
		for i, p := range both {
			p.works()
			if i == 0 {
				p.kill()
			} else {
				p.stop()
			}
			both[i] = spawn(t, s)
		}
	}
	w := writer{l: l, group: 5}
	// Two processes share the queue: an earlier event of the key that the other process is handling would become a row behind it too.
	w.commit(parked - w.group)
	l.othersGoOn(parked - w.group)
	w.ended[commits] = 0
	w.commit(w.group)
	eventually(t, "the event is parked", func() bool { return l.failed(parley.FailureParked) == 1 })
	const rounds, each = 2, 45
	for n := range rounds {
		w.ended[commits] = 0
		w.commit(each)
		total := parked + (n+1)*each
		held := (total - parked) / keys
		eventually(t, "the events of the held key are rows behind it", func() bool { return l.failed(parley.FailureBehind) == held })
		l.othersGoOn(total - held - 1)
		restart()
	}
	if n := l.count(fmt.Sprintf("effects WHERE number %% %d = 0 AND number >= %d", keys, parked)); n != 0 {
		t.Errorf("%d events of the held key were handled", n)
	}
	n, err := l.failures().Replay(t.Context(), parley.FailureQuery{Consumer: l.queue, States: []parley.FailureState{parley.FailureParked}}, 0)
	if err != nil || n != 1 {
		t.Fatalf("%d rows replayed (%v), want the parked one", n, err)
	}
	l.withoutFailures(t)
	for _, a := range l.effectsByKey(keys) {
		if a.number%keys == 0 && a.number >= parked {
			if a.number != parked {
				t.Errorf("event %d was handled before the one that held its key", a.number)
			}
			break
		}
	}
	for _, p := range both {
		p.works()
		p.stop()
	}
	l.drained()
	relay.stop()
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("restarts of two consumers while a key is held", rounds*len(both)))
}

// othersGoOn waits until n events have had their effect. On failure it logs where the missing ones are.
func (l *lab) othersGoOn(n int) {
	l.t.Helper()
	l.t.Cleanup(func() {
		if l.t.Failed() {
			ready, err := l.ready(l.queue)
			l.t.Logf("%d events had their effect, want %d; the queue has %d (%v), the outbox %d, the table %d rows, %d of them behind",
				l.count("effects"), n, ready, err, l.count("parley_outbox"), l.failed(), l.failed(parley.FailureBehind))
		}
	})
	eventually(l.t, "the events of all other keys have their effect", func() bool { had, err := l.effected(); return err == nil && had == n })
}
