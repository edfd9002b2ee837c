//go:build unix

package faulttests_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

// 5,000 events are cancelled at about the time when they are due. Cancel and relay must agree on the result
// of each race.
func TestACancelThatCountedAnEventKeepsItFromArriving(t *testing.T) {
	l := newLab(t, 1)
	const events, canceller = 10_000, 8
	l.schedule(events, time.Hour, 3*time.Second)
	l.bringForward(2 * time.Second) // only now, because writing so many events may take long
	relay := l.relay(l.database, l.broker, nil)
	var waiting sync.WaitGroup
	var tried, prevented atomic.Int64
	due := l.dueTimes()
	for worker := range canceller {
		waiting.Go(func() {
			for n := int64(2 * (worker + 1)); n <= events; n += 2 * canceller { // every second event
				// To make the race close on any machine, some cancels start a little before their event is due.
				early := time.Duration(n*7919%150) * time.Millisecond
				<-time.After(time.Until(due[n].Add(-early)))
				tried.Add(1)
				counted, err := l.cancel(t.Context(), n)
				if err != nil {
					t.Errorf("cancel event %d: %v", n, err)
					return
				}
				prevented.Add(int64(counted))
			}
		})
	}
	waiting.Wait()
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	t.Logf("%d cancels, %d prevented their event", tried.Load(), prevented.Load())
	if tried.Load() < events/2 || prevented.Load() == 0 || prevented.Load() == tried.Load() {
		t.Errorf("%d of %d cancels were in time, so the race was not close", prevented.Load(), tried.Load())
	}
	if want := events - int(prevented.Load()); f.events != want {
		t.Errorf("%d events remain after the cancels, want %d", f.events, want)
	}
	counts.add(t, f.row("cancels that race the relay", int(tried.Load())))
}

// schedule commits events with increasing due times, spread over a duration, in the order of their numbers. Each has a tag.
func (l *lab) schedule(n int, from, over time.Duration) {
	l.t.Helper()
	begin := time.Now().Add(from)
	err := pgx.BeginFunc(l.t.Context(), l.pool, func(tx pgx.Tx) error {
		records := make([]parley.Record, n)
		for i := range records {
			number := l.number.Add(1)
			var err error
			records[i], err = l.events[0].Record(fact{Number: number},
				parley.WithDueAt(begin.Add(over*time.Duration(i)/time.Duration(n))), parley.WithTags(parley.Tags{"number": number}))
			if err != nil {
				return err
			}
		}
		return l.record(l.t.Context(), tx, records, scheduled)
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// bringForward reschedules all events so that the first one is due after the given wait.
func (l *lab) bringForward(first time.Duration) {
	l.t.Helper()
	_, err := l.pool.Exec(l.t.Context(), `UPDATE parley_outbox SET due_at = due_at - m.first + clock_timestamp() + make_interval(secs => $1)
		FROM (SELECT min(due_at) AS first FROM parley_outbox) m WHERE due_at IS NOT NULL`, first.Seconds())
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) dueTimes() map[int64]time.Time {
	l.t.Helper()
	out := map[int64]time.Time{}
	r, err := l.pool.Query(l.t.Context(), "SELECT l.number, o.due_at FROM ledger l JOIN parley_outbox o ON o.id = l.event_id")
	if err != nil {
		l.t.Fatal(err)
	}
	var number int64
	var at time.Time
	if _, err := pgx.ForEachRow(r, []any{&number, &at}, func() error { out[number] = at; return nil }); err != nil {
		l.t.Fatal(err)
	}
	return out
}

// cancel cancels one event and, if it was counted, records that in the ledger, in one transaction.
func (l *lab) cancel(ctx context.Context, number int64) (counted int, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		counted, err = parley.Cancel(ctx, l.outbox.In(tx), l.events[0], parley.Tags{"number": number})
		if err == nil && counted > 0 {
			_, err = tx.Exec(ctx, "UPDATE ledger SET fate = $2 WHERE number = $1", number, cancelled)
		}
		return err
	})
	return counted, err
}
