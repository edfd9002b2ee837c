//go:build unix

package faulttests_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// interruptedPublisher calls a function once between the broker's confirms and the relay's commit.
type interruptedPublisher struct {
	parley.Publisher
	once sync.Once
	then func()
}

func (p *interruptedPublisher) Publish(ctx context.Context, messages []parley.Message) []error {
	outcomes := p.Publisher.Publish(ctx, messages)
	p.once.Do(p.then)
	return outcomes
}

// The database fails after the confirms and before the relay's COMMIT. An older copy replaces it: its sequence
// is behind, so new events get the ids of the records that the relay is about to delete.
func TestAnOlderDatabaseBetweenConfirmAndDeletionLosesNoNewEvent(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	const events = 200
	l.produce(events)
	before, last := l.count("parley_outbox"), l.number.Load()
	var kept []parley.SentRecord
	restore := func() {
		conn, err := pgx.Connect(t.Context(), l.database)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		for _, q := range []string{
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'relay'",
			"TRUNCATE parley_outbox RESTART IDENTITY",
		} {
			if _, err := conn.Exec(t.Context(), q); err != nil {
				t.Errorf("%s: %v", q, err)
			}
		}
		l.produce(events / 2)
	}
	store, err := postgres.New(poolTo(t, l.database+separator(l.database)+"application_name=relay", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	pub := &interruptedPublisher{Publisher: l.direct(), then: restore}
	relay, err := parley.NewRelay(store, pub, &parley.RelayConfig{BatchSize: 2 * events, Logger: quiet, Hooks: parley.RelayHooks{
		Kept: func(sent, _ parley.SentRecord) { kept = append(kept, sent) }, // by the relay's own goroutine
	}})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, "relay", relay)
	eventually(t, "new events are recorded and published", func() bool { return l.count("ledger") > before && l.count("parley_outbox") == 0 })
	stop()
	if len(kept) == 0 {
		t.Error("no record was reported whose id belongs to another record now")
	}
	e := l.evidence()
	e.arrivals = l.arrivals()
	for i := range e.arrivals {
		if e.arrivals[i].number > last {
			e.arrivals[i].event += 1_000_000 // the sequence was restarted
		}
	}
	f := e.inQueue()
	f.check(t, 0)
	counts.add(t, f.row("an older database between confirm and deletion", 1))
}

func separator(url string) string {
	if strings.Contains(url, "?") {
		return "&"
	}
	return "?"
}

// A transaction that cancelled a scheduled event stays open beyond the due time of the event.
func TestOneOpenTransactionHoldsUpNoOtherEvent(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.schedule(1, 200*time.Millisecond, 0)
	held := l.number.Load()
	tx, err := l.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context())) // no-op after the commit
	if n, err := parley.Cancel(t.Context(), l.outbox.In(tx), l.events[0], parley.Tags{"number": held}); n != 1 || err != nil {
		t.Fatalf("cancelled %d (%v), want 1", n, err)
	}
	relay := l.relay(l.database, l.broker, nil) // not earlier: it would publish the event if the cancellation comes late
	eventually(t, "the cancelled event is due", func() bool { return l.count("parley_outbox WHERE due_at <= clock_timestamp()") == 1 })
	var w stopwatch
	w.t = t
	for range 5 {
		begin := time.Now()
		l.produce(50)
		w.until("only the cancelled event remains", func() (int, error) {
			n, err := l.tryCount("parley_outbox")
			return 2 - n, err
		}, begin, 0)
	}
	if _, err := tx.Exec(t.Context(), "UPDATE ledger SET fate = $2 WHERE number = $1", held, cancelled); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("the transaction cannot commit: %v", err)
	}
	l.drained()
	relay.stop()
	f := l.judged()
	f.check(t, 200)
	t.Logf("50 events were recorded and published in at most %v", w.longest)
	counts.add(t, f.row("a transaction that stays open after a cancellation", 1))
}
