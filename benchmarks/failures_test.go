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

// BenchmarkFailures handles 10,000 messages (half of PARLEY_BENCH_MESSAGES) of which each tenth fails twice, a second apart, before it succeeds: with retry queues,
// and with a failure store. It counts the database operations of a failing message. The size of the server's log includes the writes of
// other sessions, so it is meaningful only on an idle server.
func BenchmarkFailures(b *testing.B) {
	n := size() / 2
	for _, d := range failureDBs {
		b.Run(d.name, func(b *testing.B) {
			w, db := setUp(b), d.open(b)
			b.Cleanup(func() {
				if err := w.broker.DeleteQueue(context.Background(), w.queue+".retry.1s"); err != nil {
					b.Error(err)
				}
			})
			messages := w.messages(b, n)
			for range b.N {
				store := &countingStore{FailureStore: db.store}
				var written, committed float64
				ours := func(b *testing.B) int {
					w.rawPublish(b, messages, 1000)
					log, ended := db.written(b), db.committed(b)
					timed(func() { w.consumeFailing(b, n, store) })
					written, committed = written+db.written(b)-log, committed+db.committed(b)-ended
					w.purge(b, 0)
					return n
				}
				compare(b, side{"retry queues", func(b *testing.B) int {
					w.rawPublish(b, messages, 1000)
					timed(func() { w.consumeFailing(b, n, nil) })
					w.purge(b, 0)
					return n
				}}, side{"failure store", ours})
				reportFailing(b, store, (n+9)/10*rounds(), written, committed)
			}
		})
	}
}

// reportFailing logs the cost of a failing message.
func reportFailing(b *testing.B, c *countingStore, failing int, written, committed float64) {
	b.Helper()
	each := func(n int64) float64 { return float64(n) / float64(failing) }
	b.Logf("a failing message: %.2f rows kept, %.2f settled, %.3f claims with rows, %.3f without, %.3f reads of the next due time; "+
		"%.2f transactions, %.0f bytes of the server's log", each(c.keeps.Load()), each(c.settles.Load()), each(c.claims.Load()), each(c.nothing.Load()),
		each(c.looks.Load()), committed/float64(failing), written/float64(failing))
	b.ReportMetric(each(c.keeps.Load()+c.settles.Load()+c.claims.Load()), "writes/failing")
	b.ReportMetric(each(c.nothing.Load()+c.looks.Load()), "looks/failing")
	if committed > 0 {
		b.ReportMetric(committed/float64(failing), "tx/failing")
	}
	if written > 0 {
		b.ReportMetric(written/float64(failing), "log-bytes/failing")
	}
}

// consumeFailing handles n messages; each tenth fails twice.
func (w *bench) consumeFailing(b *testing.B, n int, store parley.FailureStore) {
	b.Helper()
	tries := make([]atomic.Int32, n)
	r := parley.NewRouter()
	parley.On(r, w.event, func(_ context.Context, e parley.Event[user]) error {
		if e.Payload.ID%10 == 0 && tries[e.Payload.ID].Add(1) <= 2 {
			return errors.New("not yet")
		}
		return nil
	})
	w.runUntilHandled(b, r, n, &parley.ConsumerConfig{
		Failures: store,
		Retry:    parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second, time.Second, time.Second}},
		// Messages that return from a retry queue fail together, which would look like an outage.
		KillSwitch: parley.KillSwitchConfig{Share: 2},
	})
}

// runUntilHandled runs a consumer until n messages have been handled. It calls seen after each with their number.
func (w *bench) runUntilHandled(b *testing.B, r *parley.Router, n int, cfg *parley.ConsumerConfig, seen ...func(done int)) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done := make(chan struct{}, n)
	cfg.Queue, cfg.Logger = w.queue, quiet()
	cfg.Hooks.Done = func(r parley.ConsumerReport) {
		if r.Outcome == parley.OutcomeHandled {
			done <- struct{}{}
		}
	}
	c := must(parley.NewConsumer(w.broker, r, cfg))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for i := range n {
		<-done
		for _, f := range seen {
			f(i + 1)
		}
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
