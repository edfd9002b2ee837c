//go:build !race

package benchmarks_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// BenchmarkTenthFails handles messages of which each tenth fails once and succeeds a second later, against the same work without
// failures: with retry queues, and with each failure store. See BenchmarkFailures for retry queues against failure stores.
//
// The time ends when each message of the queue has been handled or is stored for its retry. Otherwise the wait of a second would
// decide the result. Retries that are due before this end are part of the time; the log says how many are not.
func BenchmarkTenthFails(b *testing.B) {
	n := size()
	run := func(b *testing.B, store parley.FailureStore) {
		w := setUp(b)
		b.Cleanup(func() {
			if err := w.broker.DeleteQueue(context.Background(), w.queue+".retry.1s"); err != nil {
				b.Error(err)
			}
		})
		messages := w.messages(b, n)
		work := func(fails bool) func(b *testing.B) int {
			return func(b *testing.B) int {
				w.rawPublish(b, messages, 1000)
				w.consumeTenth(b, n, store, fails)
				w.purge(b, 0)
				return n
			}
		}
		for range b.N {
			compare(b, side{"none fails", work(false)}, side{"each tenth fails", work(true)})
		}
	}
	b.Run("RetryQueues", func(b *testing.B) { run(b, nil) })
	for _, d := range failureDBs {
		b.Run(d.name, func(b *testing.B) { run(b, d.open(b).store) })
	}
}

// consumeTenth runs a consumer until all messages have been handled. It times the part until each of them has been handled or stored.
func (w *bench) consumeTenth(b *testing.B, n int, store parley.FailureStore, fails bool) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var tries []atomic.Bool
	again := 0
	if fails {
		tries, again = make([]atomic.Bool, n), (n+9)/10
	}
	r := parley.NewRouter()
	parley.On(r, w.event, func(_ context.Context, e parley.Event[user]) error {
		if fails && e.Payload.ID%10 == 0 && !tries[e.Payload.ID].Swap(true) {
			return errors.New("not yet")
		}
		return nil
	})
	settled, retried := make(chan struct{}, n), make(chan struct{}, n)
	c := must(parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{
		Queue: w.queue, Failures: store, Logger: quiet(), Prefetch: 300,
		Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second}},
		// Messages that return from a retry queue are handled together. A failure then would look like an outage.
		KillSwitch: parley.KillSwitchConfig{Share: 2},
		Hooks: parley.ConsumerHooks{Done: func(r parley.ConsumerReport) {
			if r.Outcome == parley.OutcomeHandled && r.Delivery.History().Attempts > 0 {
				retried <- struct{}{}
			} else {
				settled <- struct{}{}
			}
		}},
	}))
	ended := make(chan error, 1)
	timed(func() {
		go func() { ended <- c.Run(ctx) }()
		for range n {
			<-settled
		}
	})
	if fails {
		b.Logf("retries: %d, of which %d were handled later than the last message of the queue", again, again-len(retried))
	}
	for range again {
		<-retried
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
