package parley_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// withRelay runs f in virtual time beside a relay to the queue q. It returns what the relay did with unroutable records.
func withRelay(t *testing.T, f func(ctx context.Context, w *world)) []string {
	return withRelayTo(t, (*world).declare, f)
}

// withRelayTo is withRelay with another topology.
func withRelayTo(t *testing.T, declare func(w *world, ctx context.Context), f func(ctx context.Context, w *world)) []string {
	var mu sync.Mutex
	var done []string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		relay, err := parley.NewRelay(w.store, w.broker, &parley.RelayConfig{Hooks: parley.RelayHooks{
			Unroutable: func(_ parley.Record, policy parley.UnroutablePolicy) {
				mu.Lock()
				defer mu.Unlock()
				done = append(done, policy.String())
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		declare(w, t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := relay.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		f(ctx, w)
		cancel()
		wg.Wait()
	})
	return done
}

func (w *world) declare(ctx context.Context) {
	w.t.Helper()
	if err := w.broker.Declare(ctx, topology("q")); err != nil {
		w.t.Fatal(err)
	}
}

// publishFor publishes an event and waits, in virtual time.
func (w *world) publishFor(ctx context.Context, id int64, wait time.Duration) {
	w.t.Helper()
	w.publish(ctx, user{ID: id})
	time.Sleep(wait)
	synctest.Wait()
}

// pending is how many events are still in the outbox.
func (w *world) pending(ctx context.Context) int {
	w.t.Helper()
	stats, err := w.store.Stats(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return int(stats.Due)
}

// A node that returns from a partition reports exchanges as unroutable whose queues took messages before.
func TestAnAddressThatIsUnroutableForAMomentLosesNothing(t *testing.T) {
	done := withRelay(t, func(ctx context.Context, w *world) {
		w.publishFor(ctx, 1, time.Second)
		if err := w.broker.DeleteQueue(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		for id := range int64(5) {
			w.publishFor(ctx, id, time.Second)
		}
		if n := w.pending(ctx); n != 5 {
			t.Errorf("%d of 5 events are in the outbox while their address is unroutable", n)
		}
		w.declare(ctx)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		messages := w.broker.Messages("q")
		if len(messages) != 5 || w.pending(ctx) != 0 {
			t.Errorf("the queue has %d of 5 events, %d are in the outbox", len(messages), w.pending(ctx))
		}
	})
	if len(done) != 0 {
		t.Errorf("the policy was applied: %v", done)
	}
}

func TestAnAddressThatStaysUnroutableFollowsThePolicyAfterTenSeconds(t *testing.T) {
	done := withRelay(t, func(ctx context.Context, w *world) {
		w.publishFor(ctx, 1, time.Second)
		if err := w.broker.DeleteQueue(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		if w.publishFor(ctx, 2, 8*time.Second); w.pending(ctx) != 1 {
			t.Error("the event was dropped within 8 seconds")
		}
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if w.pending(ctx) != 0 {
			t.Error("the event is still in the outbox after 15 seconds")
		}
		if w.publishFor(ctx, 3, 2*time.Second); w.pending(ctx) != 0 {
			t.Error("a later event to the same address waits again")
		}
	})
	if want := "[dropped dropped]"; fmt.Sprint(done) != want {
		t.Errorf("got %v, want %s", done, want)
	}
}

// Publish/subscribe without a subscriber is no fault: nothing waits.
func TestAnAddressThatNeverTookAMessageFollowsThePolicyAtOnce(t *testing.T) {
	done := withRelay(t, func(ctx context.Context, w *world) {
		if err := w.broker.DeleteQueue(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		if w.publishFor(ctx, 1, 2*time.Second); w.pending(ctx) != 0 {
			t.Error("the event waits")
		}
	})
	if want := "[dropped]"; fmt.Sprint(done) != want {
		t.Errorf("got %v, want %s", done, want)
	}
}

type countingSource struct {
	*memory.Store
	claims atomic.Int64
}

func (c *countingSource) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	c.claims.Add(1)
	return c.Store.Claim(ctx, o)
}

// The backoff of an exchange ends when none of its records is due: an idle relay polls and sleeps as before.
func TestARelaySleepsAgainAfterAnAddressBecameUnroutable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		src := &countingSource{Store: w.store}
		relay, err := parley.NewRelay(src, w.broker, &parley.RelayConfig{Logger: quiet, PollInterval: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		w.declare(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = relay.Run(ctx) })
		w.publishFor(ctx, 1, time.Minute)
		before := src.claims.Load()
		time.Sleep(10 * time.Minute)
		idle := src.claims.Load() - before
		if err := w.broker.DeleteQueue(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		w.publishFor(ctx, 2, 5*time.Minute)
		if w.pending(ctx) != 0 {
			t.Error("pending")
		}
		before = src.claims.Load()
		time.Sleep(10 * time.Minute)
		if n := src.claims.Load() - before; n > 2*idle+10 {
			t.Errorf("idle relay: %d claims in 10 minutes before, %d after an address became unroutable", idle, n)
		}
		cancel()
		wg.Wait()
	})
}

// declareByHeader makes the exchange route by the header tenant: the queue takes the messages of tenant a.
func (w *world) declareByHeader(ctx context.Context) {
	w.t.Helper()
	err := w.broker.Declare(ctx, parley.Topology{
		Exchanges: []parley.Exchange{{Name: "user", Type: parley.ExchangeHeaders}},
		Queues:    []parley.Queue{{Name: "q"}},
		Bindings:  []parley.Binding{{Queue: "q", Exchange: "user", Arguments: map[string]any{"tenant": "a"}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// publishOf publishes one event of each tenant in one transaction.
func (w *world) publishOf(ctx context.Context, tenants ...string) {
	w.t.Helper()
	err := w.store.InTx(ctx, func(tx *memory.Tx) error {
		for i, tenant := range tenants {
			if _, err := parley.Publish(ctx, w.outbox.In(tx), userRenamed, user{ID: int64(i)}, parley.WithHeader("tenant", tenant)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// publishEvery publishes an event of tenant a at each interval for some time. It returns their number.
func (w *world) publishEvery(ctx context.Context, interval, during time.Duration) (n int) {
	w.t.Helper()
	for ; during >= interval; during -= interval {
		time.Sleep(interval)
		w.publishOf(ctx, "a")
		n++
	}
	time.Sleep(during)
	synctest.Wait()
	return n
}

// On a headers exchange messages of one address may be routable and unroutable at the same time.
func TestAnUnroutableEventOfAHeadersExchangeFollowsThePolicyAfterTenSeconds(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Millisecond, 1700 * time.Millisecond, 6 * time.Second, time.Hour} {
		for _, tenants := range []string{"b", "ab", "ba", "bab"} {
			t.Run(fmt.Sprintf("%s beside one in %v", tenants, interval), func(t *testing.T) {
				unroutable := strings.Count(tenants, "b")
				done := withRelayTo(t, (*world).declareByHeader, func(ctx context.Context, w *world) {
					w.publishOf(ctx, "a")
					time.Sleep(time.Second)
					w.publishOf(ctx, strings.Split(tenants, "")...)
					w.publishEvery(ctx, interval, 8*time.Second)
					if n := w.pending(ctx); n < unroutable {
						t.Errorf("%d events are in the outbox after 8 seconds, want at least the %d unroutable ones", n, unroutable)
					}
					w.publishEvery(ctx, interval, 5*time.Second)
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if n := w.pending(ctx); n != 0 {
						t.Errorf("%d events are still in the outbox after 15 seconds", n)
					}
				})
				if want := strings.Repeat("dropped", unroutable); strings.Join(done, "") != want {
					t.Errorf("got %v, want %d dropped", done, unroutable)
				}
			})
		}
	}
}

// The events that a queue takes are not dropped when the broker reports them as unroutable for a moment, whenever that is.
func TestAMomentWithoutRoutesLosesNothingWhileAnotherEventIsUnroutable(t *testing.T) {
	for _, at := range []time.Duration{0, 5 * time.Second, 9500 * time.Millisecond, 10 * time.Second, 10500 * time.Millisecond, 12 * time.Second} {
		t.Run(at.String(), func(t *testing.T) {
			done := withRelayTo(t, (*world).declareByHeader, func(ctx context.Context, w *world) {
				w.publishOf(ctx, "a")
				time.Sleep(time.Second)
				w.publishOf(ctx, "b")
				sent := 1 + w.publishEvery(ctx, 500*time.Millisecond, at)
				arrived := len(w.broker.Messages("q"))
				if err := w.broker.DeleteQueue(ctx, "q"); err != nil {
					t.Fatal(err)
				}
				sent += w.publishEvery(ctx, time.Second, 6*time.Second)
				w.declareByHeader(ctx)
				time.Sleep(15 * time.Second)
				synctest.Wait()
				if arrived += len(w.broker.Messages("q")); arrived != sent || w.pending(ctx) != 0 {
					t.Errorf("the queue got %d of %d events, %d are in the outbox", arrived, sent, w.pending(ctx))
				}
			})
			if fmt.Sprint(done) != "[dropped]" {
				t.Errorf("got %v, want one event dropped", done)
			}
		})
	}
}
