//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// The copy that waits for the first one's transaction must be handled if that rolls back, and only then.
func TestADuplicateThatComesAfterARollbackHasTheEffect(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.publish(300)
	l.multiply(3, nil)
	var tried sync.Map
	out := l.settleAll(l.store, 3*l.count("ledger"), func(ctx context.Context, tx pgx.Tx, e parley.Event[fact]) error {
		if err := leaveEffect(ctx, tx, e); err != nil {
			return err
		}
		// The first copy of every third event fails.
		if _, again := tried.LoadOrStore(e.Payload.Number, true); e.Payload.Number%3 == 0 && !again {
			return errPlanned
		}
		return nil
	})
	f := l.evidence().inEffect()
	f.check(t, 0)
	if want := int64(2 * f.events); out.duplicate.Load() != want {
		t.Errorf("%d copies were treated as duplicates, want %d", out.duplicate.Load(), want)
	}
	counts.add(t, f.row("rollbacks of the first of 3 copies", int(out.retried.Load())))
}

// Messages of the Python library have no message id. Service, aggregate, event id and time distinguish
// them.
func TestEventsOfOneIDButOfAnotherTimeOrServiceAreNotTakenForDuplicates(t *testing.T) {
	l := newLab(t, 1)
	const ids, copies = 40, 3
	variants := []struct{ app, time string }{
		{"one", "2026-01-02T03:04:05.000000Z"},
		{"one", "2026-01-02T03:04:05.000001Z"},
		{"two", "2026-01-02T03:04:05.000000Z"},
		{"", "2026-01-02T03:04:05.000000Z"},
	}
	var numbers, eventIDs []int64
	err := l.onBroker(func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		var last *amqp.DeferredConfirmation
		for id := range int64(ids) {
			for v, variant := range variants {
				number := 1 + id*int64(len(variants)) + int64(v)
				numbers, eventIDs = append(numbers, number), append(eventIDs, 1+id)
				body := fmt.Sprintf(`{"eventId": %d, "eventTime": %q, "eventType": "noted", "aggregate": "a", "payload": {"number": %d}}`, 1+id, variant.time, number)
				for range copies {
					var err error
					last, err = ch.PublishWithDeferredConfirm(l.exchanges[0], "noted", true, false, amqp.Publishing{AppId: variant.app, Body: []byte(body)})
					if err != nil {
						return err
					}
				}
			}
		}
		_, err := last.WaitContext(t.Context())
		return err
	})
	if err == nil {
		_, err = l.db.ExecContext(t.Context(), ledgerLines(l.exchanges[0], numbers, eventIDs))
	}
	if err != nil {
		t.Fatal(err)
	}
	out := l.settleAll(l.store, copies*len(numbers), leaveEffect)
	f := l.evidence().inEffect()
	f.check(t, 0)
	if want := int64((copies - 1) * len(numbers)); out.duplicate.Load() != want {
		t.Errorf("%d copies were treated as duplicates, want %d", out.duplicate.Load(), want)
	}
	counts.add(t, f.row("events of one id, but of another time or service", ids*(len(variants)-1)))
}

// Old identities are swept in small steps: a delivery must not wait for a long DELETE, and identities within the retention
// must be kept.
func TestASweepOfTheInboxUnderLoadHoldsUpNothingAndForgetsNothingTooEarly(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 1)
	l.publish(1500)
	l.multiply(3, nil)
	const old = 20_000
	_, err := l.pool.Exec(t.Context(), `INSERT INTO parley_inbox (consumer, identity, seen_at)
SELECT $1, 'id:old-' || n, clock_timestamp() - interval '1 day' FROM generate_series(1, $2::int) AS n`, l.queue, old)
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.queue, Retention: time.Hour, SweepInterval: 100 * time.Millisecond, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	locks, stopWatching := l.watchLocks()
	stopSweeping := start(t, "inbox", inbox)
	out := l.settleAll(l.store, 3*l.count("ledger"), leaveEffect)
	swept := old - l.count("parley_inbox WHERE identity LIKE 'id:old-%'")
	eventually(t, "all old identities are deleted", func() bool { return l.count("parley_inbox WHERE identity LIKE 'id:old-%'") == 0 })
	stopSweeping()
	stopWatching()
	f := l.evidence().inEffect()
	f.check(t, 0)
	if n := l.count("parley_inbox"); n != f.events || out.duplicate.Load() != int64(2*f.events) {
		t.Errorf("%d identities remain and %d copies were treated as duplicates, want %d and %d", n, out.duplicate.Load(), f.events, 2*f.events)
	}
	t.Logf("%d identities were swept under load; the longest wait for a lock was %v, seen in %d polls", swept, locks.longest(), locks.looks.Load())
	if locks.longest() > time.Second || locks.looks.Load() == 0 {
		t.Errorf("a statement waited %v for a lock, want at most a second", locks.longest())
	}
	counts.add(t, f.row("sweep of old identities under load", swept))
}

// A lockWatch records the longest time that a statement waited for a lock.
type lockWatch struct{ nanoseconds, looks atomic.Int64 }

func (w *lockWatch) longest() time.Duration { return time.Duration(w.nanoseconds.Load()) }

// watchLocks polls the lab's database until stop is called.
func (l *lab) watchLocks() (w *lockWatch, stop func()) {
	l.t.Helper()
	w = &lockWatch{}
	const q = `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float8 FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'`
	return w, start(l.t, "watch", parley.RunnerFunc(func(ctx context.Context) error {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			var seconds float64
			if err := l.pool.QueryRow(context.WithoutCancel(ctx), q).Scan(&seconds); err != nil {
				return err
			}
			w.looks.Add(1)
			w.nanoseconds.Store(max(w.nanoseconds.Load(), int64(seconds*float64(time.Second))))
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	}))
}
