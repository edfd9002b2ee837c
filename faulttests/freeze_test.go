package faulttests_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// The transaction of a relay that is frozen ends with the server's patience for it, 15 seconds; with it go
// the lock and the rows, and what the frozen one deletes later is refused.
func TestAFrozenRelayIsSucceededAndDoesNoHarmWhenItWakes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay past its transaction's end, SIGCONT", afterPublish, endedIdle)
}

func TestARelayThatIsFrozenBeforeItPublishesIsSucceeded(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay before it publishes, SIGCONT", beforePublish, endedIdle)
}

func TestARelayThatIsFrozenInMidPublicationIsSucceeded(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay in mid-publication, SIGCONT", midPublish, endedIdle)
}

// MariaDB ends the session by its wait_timeout.
func TestARelayThatIsFrozenOverMariaDBIsSucceeded(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newMariaDBLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay past its session's end, SIGCONT, over MariaDB", afterPublish, "invalid connection")
}

// On SQLite a relay holds a lease in place of a transaction. It deletes what the broker has taken although its lease has
// run out: a successor has sent it again meanwhile, and has deleted it.
func TestARelayThatIsFrozenOverSQLiteIsSucceeded(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newSQLiteLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay past its lease, SIGCONT, over SQLite", afterPublish, "somebody else deleted records")
}

// endedIdle is how PostgreSQL refuses what comes too late.
const endedIdle = "terminating connection due to idle-in-transaction timeout"

// freezeRelay freezes the active relay in its second batch until a successor has taken over and moved everything.
// When it wakes, the database refuses it with these words.
func (l *lab) freezeRelay(name string, at point, refusal string) {
	l.t.Helper()
	l.produce(500)
	const batch = 100
	s := l.child("relay")
	s.Batch, s.Point, s.Pass, s.Freeze = batch, at, 2, true
	if at == midPublish {
		s.Pass = 4 // two pieces for each batch
	}
	frozen := spawn(l.t, s)
	eventually(l.t, "the relay is frozen", frozen.frozen)
	begin := time.Now()
	was, err := l.moved()
	if err != nil {
		l.t.Fatal(err)
	}
	successor := spawn(l.t, l.child("relay"))
	watch := stopwatch{t: l.t}
	watch.until("a successor takes over", l.moved, begin, was)
	if watch.longest > 20*time.Second {
		l.t.Errorf("the successor took over after %v, want at most 17 s and some patience with the machine", watch.longest)
	}
	l.produce(200)
	l.drained()
	frozen.signal(syscall.SIGCONT)
	eventually(l.t, "what the frozen relay does late is refused", func() bool { return strings.Contains(frozen.words(), refusal) })
	l.produce(500)
	l.drained()
	frozen.stop()
	successor.stop()
	f := l.judged()
	f.check(l.t, batch)
	if len(f.doubled) == 0 && at != beforePublish {
		l.t.Error("no event came twice: the relay was not frozen with messages on their way")
	}
	r := f.row(name, 1)
	r.recovery = watch.longest
	counts.add(l.t, r)
}
