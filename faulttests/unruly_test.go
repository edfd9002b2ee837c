//go:build unix

package faulttests_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// A transaction that is rolled back, or whose function panics, leaves no event and no open connection.
func TestTransactionsThatRollBackOrPanicPublishNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		open func(t *testing.T, exchanges int) *lab
	}{{"PostgreSQL", newLab}, {"MariaDB", newMariaDBLab}, {"SQLite", newSQLiteLab}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := c.open(t, 4)
			stop := l.anyRelay()
			undone := l.unruly(2 * time.Second)
			l.drained()
			stop()
			f := l.judged()
			f.check(t, 0)
			counts.add(t, f.row("rollbacks and panics in transactions, "+c.name, undone))
		})
	}
}

// anyRelay starts a relay: in this process for PostgreSQL, in a child for the other databases.
func (l *lab) anyRelay() (stop func()) {
	l.t.Helper()
	if l.store == nil {
		return spawn(l.t, l.child("relay")).stop
	}
	return l.relay(l.database, l.broker, nil).stop
}

// unruly writes for a while on each exchange: half of the transactions commit, three in ten roll back, two in ten panic. It
// returns how many did not commit, and proves that none of them still holds a connection.
func (l *lab) unruly(d time.Duration) int {
	l.t.Helper()
	random := chance(l.t)
	ctx, cancel := context.WithTimeout(l.t.Context(), d)
	defer cancel()
	var writers sync.WaitGroup
	all := make([]writer, len(l.exchanges))
	for i := range all {
		own := rand.New(rand.NewPCG(random.Uint64(), 1))
		all[i] = writer{l: l, exchange: i, group: 3, ending: func() ending {
			return [...]ending{commits, commits, commits, commits, commits, rollsBack, rollsBack, rollsBack, panics, panics}[own.IntN(10)]
		}}
		writers.Go(func() {
			for ctx.Err() == nil {
				if err := all[i].write(l.t.Context()); err != nil {
					l.t.Errorf("write: %v", err)
					return
				}
			}
		})
	}
	writers.Wait()
	var ended [3]int // by all writers: SQLite is not fair to single ones
	for i := range all {
		for how, n := range all[i].ended {
			ended[how] += n
		}
	}
	for how, n := range ended {
		if n == 0 {
			l.t.Errorf("no transaction ended in the way %d, so the test proves nothing", how)
		}
	}
	l.checkReleased()
	return ended[rollsBack] + ended[panics]
}

// checkReleased fails the test if an ended transaction still holds its connection.
func (l *lab) checkReleased() {
	l.t.Helper()
	eventually(l.t, "all connections are back in the pool", func() bool {
		if l.pool != nil {
			return l.pool.Stat().AcquiredConns() == 0
		}
		return l.service.Store().(interface{ DB() *sql.DB }).DB().Stats().InUse == 0
	})
}
