//go:build unix

package faulttests_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// The baseline of all counts: without a fault each event arrives once and in order, although commits are slow.
func TestWithoutFaultsNothingIsLostDoubledOrReordered(t *testing.T) {
	t.Parallel()
	const events, writers, group = 5000, 8, 40
	l := newLab(t, writers) // one exchange per writer: the ids of several writers are committed in another order than they were assigned
	relay := l.relay(l.database, l.broker, nil)
	random := chance(t)
	var running sync.WaitGroup
	for i := range writers {
		w := writer{l: l, exchange: i, group: group, undo: 10, hold: pauses(random.Uint64(), 200*time.Millisecond)}
		running.Go(func() { w.commit(events / writers) })
	}
	running.Wait()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	if f.events < events {
		t.Errorf("%d events were committed, want at least %d", f.events, events)
	}
	if relay.batches.Load() < 10 {
		t.Errorf("the relay had only %d batches, so it did not run beside the writers", relay.batches.Load())
	}
	counts.add(t, f.row("none: 8 writers whose commits take up to 200 ms", int(relay.batches.Load())))
}

// Ids are assigned before commits, so events of overlapping transactions of one aggregate may be published in another order
// than they commit. Transactions that lock the aggregate's row first do not overlap.
func TestEventsOfAnAggregateKeepTheirOrderIfItsRowIsLockedFirstAndMayNotOtherwise(t *testing.T) {
	needAll(t)
	t.Parallel()
	lock := func(l *lab) {
		if _, err := l.pool.Exec(t.Context(), "CREATE TABLE aggregates (name text PRIMARY KEY, version int NOT NULL)"); err != nil {
			t.Fatal(err)
		}
		for _, name := range l.exchanges {
			if _, err := l.pool.Exec(t.Context(), "INSERT INTO aggregates VALUES ($1, 0)", name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("locked", func(t *testing.T) {
		f := overlapping(t, lock, func(name string) string {
			return "UPDATE aggregates SET version = version + 1 WHERE name = '" + name + "'"
		})
		f.check(t, 0)
		counts.add(t, f.row("commits out of order, aggregates locked first", f.events))
	})
	t.Run("not locked", func(t *testing.T) {
		f := overlapping(t, lock, nil)
		r := f.row("commits out of order, aggregates not locked", len(f.reordered))
		f.reordered = nil // reported by counts.add: without the lock no order is promised
		f.check(t, 0)
		counts.add(t, r)
	})
}

// overlapping runs four writers for each aggregate, which keep their transactions open for up to a second.
func overlapping(t *testing.T, prepare func(l *lab), first func(aggregate string) string) findings {
	t.Helper()
	l := newLab(t, 4)
	prepare(l)
	relay := l.relay(l.database, l.broker, nil)
	random := chance(t)
	var running sync.WaitGroup
	for i, aggregate := range l.exchanges {
		for range 4 {
			w := writer{l: l, exchange: i, group: 1, hold: pauses(random.Uint64(), time.Second)}
			if first != nil {
				w.first = first(aggregate)
			}
			running.Go(func() { w.commit(6) })
		}
	}
	running.Wait()
	l.drained()
	relay.stop()
	return l.judged()
}

// pauses returns a writer's hold with random pauses up to limit.
func pauses(seed uint64, limit time.Duration) func() {
	random := rand.New(rand.NewPCG(seed, 2))
	return func() { pass(time.Duration(random.Int64N(int64(limit)))) }
}
