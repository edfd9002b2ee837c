// Package sqlstoretest holds checks that the packages sqlite and mysql share, in addition to those of
// parleytest.
package sqlstoretest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// patience is how long a check may take against a real database of any size.
const patience = 60 * time.Second

// StormVariable is the environment variable for the number of records in a cancel storm.
const StormVariable = "PARLEY_TEST_STORM"

// StormSize is how many records a cancel storm has: 300 in short tests, otherwise 1000 or the value of
// StormVariable.
func StormSize(t testing.TB) int {
	if text := os.Getenv(StormVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q is not a number above 0", StormVariable, text)
		}
		return n
	}
	if testing.Short() {
		return 300
	}
	return 1000
}

// A Broker accepts all messages and counts how often it received each one, by its ID.
type Broker struct {
	mu  sync.Mutex
	got map[string]int
}

// Ready implements parley.Publisher.
func (b *Broker) Ready(context.Context) error { return nil }

// Publish implements parley.Publisher.
func (b *Broker) Publish(_ context.Context, messages []parley.Message) []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.got == nil {
		b.got = map[string]int{}
	}
	for i := range messages {
		b.got[messages[i].ID]++
	}
	return nil
}

// Count returns how often the message was published.
func (b *Broker) Count(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got[id]
}

type stormStore[Tx any] interface {
	parley.OutboxStore[Tx]
	parley.RelaySource
	parley.OutboxInspector
}

// CancelStorm schedules n records that become due while a relay runs, and cancels each of
// them at the same time. Every record must be either cancelled and counted, or sent once; never
// both, never neither. inTx runs a user's transaction and retries it after a deadlock.
func CancelStorm[Tx sqlstore.Tx](t *testing.T, store stormStore[Tx], inTx func(ctx context.Context, fn func(tx Tx) error) error, n int) {
	ctx, cancel := context.WithTimeout(t.Context(), patience+time.Duration(n)*20*time.Millisecond)
	defer cancel()
	schedule(ctx, t, store, inTx, n)
	broker := &Broker{}
	relay, err := parley.NewRelay(store, broker, &parley.RelayConfig{
		BatchSize: 10, PollInterval: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := relay.Run(running); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	cancelled := cancelAll(ctx, t, store, inTx, n)
	drained(ctx, t, store)
	stop()
	wg.Wait()
	total := 0
	for i, was := range cancelled {
		sent := broker.Count(strconv.Itoa(i))
		if was > 1 || sent > 1 || was+sent != 1 {
			t.Errorf("record %d was counted as cancelled %d times and sent %d times, want one of both, once", i, was, sent)
		}
		total += was
	}
	t.Logf("of %d records %d were cancelled and %d sent", n, total, n-total)
}

// schedule inserts records that are due from now on, one after another.
func schedule[Tx sqlstore.Tx](ctx context.Context, t *testing.T, store stormStore[Tx], inTx func(context.Context, func(Tx) error) error, n int) {
	t.Helper()
	records := make([]parley.Record, n)
	start := time.Now().Add(50 * time.Millisecond)
	for i := range records {
		id := strconv.Itoa(i)
		records[i] = parley.Record{
			Message: parley.Message{Exchange: "mail", RoutingKey: "remind", ID: id, Kind: parley.KindCommand, Body: []byte("{}")},
			DueAt:   start.Add(time.Duration(i) * 2 * time.Millisecond),
			Tags:    map[string]string{"n": id, "kind": "photo"},
		}
	}
	if err := inTx(ctx, func(tx Tx) error { return store.Insert(ctx, tx, records) }); err != nil {
		t.Fatalf("schedule: %v", err)
	}
}

// cancelAll cancels each record in a transaction of its own, from several goroutines, and
// returns the counts.
func cancelAll[Tx sqlstore.Tx](ctx context.Context, t *testing.T, store stormStore[Tx], inTx func(context.Context, func(Tx) error) error, n int) []int {
	const callers = 4
	counts := make([]int, n)
	order := rand.Perm(n)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for at := c; at < n; at += callers {
				i := order[at]
				s := parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"n": strconv.Itoa(i), "kind": "photo"}}
				err := inTx(ctx, func(tx Tx) (err error) {
					counts[i], err = store.Cancel(ctx, tx, s)
					return err
				})
				if err != nil {
					t.Errorf("cancel record %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	return counts
}

// drained waits until the outbox is empty.
func drained(ctx context.Context, t *testing.T, store parley.OutboxInspector) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := store.Stats(ctx)
		if err != nil {
			t.Fatalf("stats: %v", err)
		}
		if st.Due+st.Scheduled == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the relay has not sent all events: %s", fmt.Sprintf("%+v", st))
		}
	}
}
