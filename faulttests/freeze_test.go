//go:build unix

package faulttests_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// The server ends the idle transaction of a frozen relay after 15 s, and thereby releases the
// lock and the rows. A later deletion by the frozen relay fails.
func TestAFrozenRelayIsReplacedAndDoesNoHarmWhenItResumes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay past its transaction's end, SIGCONT", afterPublish, endedIdle)
}

func TestARelayThatIsFrozenBeforeItPublishesIsReplacedByAStandby(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay before it publishes, SIGCONT", beforePublish, endedIdle)
}

func TestARelayThatIsFrozenInMidPublicationIsReplacedByAStandby(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay in mid-publication, SIGCONT", midPublish, endedIdle)
}

// MariaDB ends the session by its wait_timeout.
func TestARelayThatIsFrozenOverMariaDBIsReplacedByAStandby(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newMariaDBLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay past its session's end, SIGCONT, over MariaDB", afterPublish, "invalid connection")
}

// On SQLite a relay holds a lease in place of a transaction. After its lease has ended it still deletes what the broker
// accepted. The standby has sent and deleted these records meanwhile.
func TestARelayThatIsFrozenOverSQLiteIsReplacedByAStandby(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newSQLiteLab(t, 2)
	l.freezeRelay("SIGSTOP of the active relay past its lease, SIGCONT, over SQLite", afterPublish, "deleted or changed by another process")
}

// endedIdle is the error of PostgreSQL for a statement after the timeout.
const endedIdle = "terminating connection due to idle-in-transaction timeout"

// freezeRelay freezes the active relay in its second batch until a standby has taken over and sent all events.
// After it resumes, its statement fails with the text refusal.
func (l *lab) freezeRelay(name string, at point, refusal string) {
	l.t.Helper()
	l.produce(500)
	const batch = 100
	s := l.child("relay")
	s.Batch, s.Point, s.Pass, s.Freeze = batch, at, 2, true
	if at == midPublish {
		s.Pass = 4 // two windows per batch
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
	watch.until("a standby takes over", l.moved, begin, was)
	if watch.longest > 20*time.Second {
		l.t.Errorf("the standby took over after %v, want at most 17 s plus a margin for a slow machine", watch.longest)
	}
	l.produce(200)
	l.drained()
	frozen.signal(syscall.SIGCONT)
	eventually(l.t, "the late statement of the frozen relay fails", func() bool { return strings.Contains(frozen.words(), refusal) })
	l.produce(500)
	l.drained()
	frozen.stop()
	successor.stop()
	f := l.judged()
	// On a slow machine the broker may take too long, which repeats a batch of its own.
	const waits = "relay: waiting for the broker"
	f.check(l.t, batch*(1+frozen.heard(waits)+successor.heard(waits)))
	if len(f.doubled) == 0 && at != beforePublish {
		l.t.Error("no event arrived twice, so the relay was not frozen with messages in flight")
	}
	r := f.row(name, 1)
	r.recovery = watch.longest
	counts.add(l.t, r)
}
