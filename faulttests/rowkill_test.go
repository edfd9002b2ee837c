//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

// rowPlaces are all failpoints between a failed delivery's first attempt and the end of its row.
var rowPlaces = []point{beforeKeepCommit, afterKeep, afterClaim, afterDoneIn, afterEffectCommit, beforePromotion}

// One kill at each failpoint; the full run has 20, on three databases.
func TestAConsumerThatIsKilledAtEachPlaceOfAFailedDeliveryLosesNothing(t *testing.T) {
	l := newLab(t, 2)
	l.killKeepers("kill -9 of a consumer with a failure store, at each of 6 places", 1)
}

func TestAConsumerThatIsKilledTwentyTimesAtEachPlaceOfAFailedDeliveryLosesNothingAndKeepsTheOrderOfKeys(t *testing.T) {
	needAll(t)
	for name, newLab := range map[string]func(*testing.T, int) *lab{"PostgreSQL": newLab, "MariaDB": newMariaDBLab, "SQLite": newSQLiteLab} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newLab(t, 2).killKeepers("kill -9 of a consumer with a failure store, 20 times at each of 6 places, over "+name, 20)
		})
	}
}

// killKeepers kills one consumer after another. It ends the leases of killed consumers. No row is parked because
// of its number of starts, since the message does not end the process here.
func (l *lab) killKeepers(name string, kills int) {
	l.t.Helper()
	const keys = 20
	relay := spawn(l.t, l.child("relay"))
	s := l.keeper(fmt.Sprint("VICTIM_KEYS=", keys), "VICTIM_POISON_LIMIT=-1")
	random := chance(l.t)
	for range kills {
		for _, at := range rowPlaces {
			s.Point, s.Pass = at, 1+random.IntN(3)
			p := spawn(l.t, s)
			l.feed("a consumer dies at "+string(at), p.dead)
			p.diedAt(at)
			l.endClaims()
		}
	}
	s.Point = ""
	last := spawn(l.t, s)
	l.drained()
	relay.stop()
	l.withoutFailures(l.t)
	last.stop()
	e := l.evidence()
	f := e.inEffect()
	f.check(l.t, 0)
	e.arrivals = l.effectsByKey(keys)
	ordered := e.inQueue()
	ordered.check(l.t, 0)
	f.reordered = ordered.reordered
	counts.add(l.t, f.row(name, kills*len(rowPlaces)))
}

// Without a transaction no record shows that the handler has run: its message is handled again, but never lost.
func TestAConsumerThatDiesBetweenAHandlerWithoutATransactionAndTheEndOfItsRowHandlesItAgain(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	const kills, concurrency = 20, 8
	relay := spawn(t, l.child("relay"))
	s := l.keeper("VICTIM_POISON_LIMIT=-1")
	s.WithoutInbox, s.Point = true, beforeRowDone
	for range kills {
		p := spawn(t, s)
		l.feed("a consumer dies with its row handled", p.dead)
		p.diedAt(beforeRowDone)
		l.endClaims()
	}
	s.Point = ""
	last := spawn(t, s)
	l.drained()
	relay.stop()
	l.withoutFailures(t)
	last.stop()
	f := l.evidence().inEffect()
	f.check(t, kills*concurrency)
	if len(f.doubled) == 0 {
		t.Error("no message was handled again, so no consumer died at this failpoint")
	}
	counts.add(t, f.row("kill -9 between a handler without a transaction and the end of its row", kills))
}

// A process that is frozen for longer than its lease loses its claims: other processes handle the rows, and its own work
// on them has no effect after it resumes.
func TestConsumersThatAreFrozenBetweenTwoRenewalsLoseTheirClaimsAndDoNoHarmWhenTheyResume(t *testing.T) {
	needAll(t)
	for name, newLab := range map[string]func(*testing.T, int) *lab{"PostgreSQL": newLab, "MariaDB": newMariaDBLab, "SQLite": newSQLiteLab} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newLab(t, 1).freezeKeepers("SIGSTOP of consumers with a failure store past their leases, over " + name)
		})
	}
}

func (l *lab) freezeKeepers(name string) {
	l.t.Helper()
	const frozen = 10
	relay := spawn(l.t, l.child("relay"))
	s := l.keeper("VICTIM_POISON_LIMIT=-1")
	// All events fail at first and are claimed a second later.
	s.Point, s.Freeze, s.Plain, s.Fail = afterClaim, true, true, 1
	w := writer{l: l, group: 5}
	sleepers := make([]*process, frozen)
	for i := range sleepers {
		if err := w.write(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
		sleepers[i] = l.freezeKeeper(s)
	}
	if held := l.failed(parley.FailureRunning); held < frozen {
		l.t.Fatalf("%d rows are claimed by %d frozen consumers, want one each at least", held, frozen)
	}
	s.Point = ""
	awake := spawn(l.t, s)
	awake.works()
	// Their unacked messages stay with them until they resume, or until the broker misses their heartbeats.
	within(l.t, 4*patience, "another consumer handles the rows of the frozen ones", func() bool { n, err := l.tryCount("parley_failed"); return err == nil && n == 0 })
	for _, p := range sleepers {
		p.signal(syscall.SIGCONT)
	}
	l.drained()
	l.withoutFailures(l.t)
	for _, p := range append(sleepers, awake) {
		p.stop()
	}
	relay.stop()
	f := l.evidence().inEffect()
	f.check(l.t, 0)
	counts.add(l.t, f.row(name, frozen))
}

// freezeKeeper starts a consumer that freezes with claims and without an open transaction. An open transaction would block the next handler
// of the same message, and on SQLite all other writers.
func (l *lab) freezeKeeper(s childSpec) *process {
	l.t.Helper()
	for {
		p := spawn(l.t, s)
		eventually(l.t, "a consumer is frozen with its claims", p.frozen)
		err := l.noOpenTransaction()
		if err == nil {
			return p
		}
		l.t.Logf("frozen within a transaction (%v), starting another one", err)
		p.kill()
	}
}

// noOpenTransaction returns an error if a transaction or its write locks stay open while others have time to end theirs.
func (l *lab) noOpenTransaction() (err error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), patience/10)
	defer cancel()
	if err = l.inTx(ctx, func(tx transaction) error { return tx.execute(ctx, "DELETE FROM ledger WHERE 1 = 0") }); err != nil {
		return err
	}
	open := "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.db = DATABASE()"
	if l.pool != nil {
		open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
	} else if _, ok := l.service.Store().(*sqlite.Store); ok {
		return nil
	}
	for n := 1; n > 0; time.Sleep(50 * time.Millisecond) {
		if err := l.db.QueryRowContext(ctx, open).Scan(&n); err != nil {
			return fmt.Errorf("%d open transactions: %w", n, err)
		}
	}
	return nil
}
