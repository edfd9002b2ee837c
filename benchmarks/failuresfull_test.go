//go:build !race

package benchmarks_test

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// BenchmarkFailuresFull works with a table of a million parked deliveries (PARLEY_BENCH_PARKED) and a tenth as many retries that are due
// next year, against an empty table: parking, claiming, settling, and handling messages that do not fail.
func BenchmarkFailuresFull(b *testing.B) {
	parked := number("PARLEY_BENCH_PARKED", 1_000_000)
	for _, d := range failureDBs {
		b.Run(d.name, func(b *testing.B) {
			w, empty, full := setUp(b), d.open(b), d.open(b)
			full.fill(b, w.queue, "parked", 1, parked)
			full.fill(b, w.queue, "waiting", parked+1, parked/10)
			full.settle(b)
			rates := func(name string, work func(db *failureDB) func(b *testing.B) int) {
				b.Run(name, func(b *testing.B) {
					for range b.N {
						compare(b, side{"empty", work(empty)}, side{"full", work(full)})
					}
				})
			}
			for _, op := range []struct {
				name  string
				times int
				run   func(b *testing.B, db *failureDB) time.Duration
			}{{"park", 200, w.park}, {"claim", 40, w.claim}, {"settle", 40, w.settleClaims}} {
				b.Run(op.name, func(b *testing.B) {
					for range b.N {
						compareEach(b, op.times, func() time.Duration { return op.run(b, empty) }, func() time.Duration { return op.run(b, full) })
					}
				})
			}
			rates("consume", w.consumeWith)
			rates("OnTx", w.onTxWith)
			b.Run("memory", func(b *testing.B) { w.failuresMemory(b, full) })
		})
	}
}

// BenchmarkFailuresNone handles messages that do not fail with an empty failure store, against no failure store.
func BenchmarkFailuresNone(b *testing.B) {
	for _, d := range failureDBs {
		b.Run(d.name, func(b *testing.B) {
			w, db := setUp(b), d.open(b)
			without := *db
			without.store = nil
			for range b.N {
				b.Run("consume", func(b *testing.B) {
					compare(b, side{"none", w.consumeWith(&without)}, side{"empty", w.consumeWith(db)})
				})
				b.Run("OnTx", func(b *testing.B) { compare(b, side{"none", w.onTxWith(&without)}, side{"empty", w.onTxWith(db)}) })
			}
		})
	}
}

// failure is a failed delivery as a consumer keeps it.
func (w *bench) failure(b *testing.B, i int, state parley.FailureState) parley.Failure {
	b.Helper()
	r, err := w.event.Record(payload(i))
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	f := parley.Failure{
		Message: r.Message, State: state, Fingerprint: "00112233445566778899aabbccddeeff", RepeatOf: make([]byte, 32), Identity: "id:" + r.Message.ID,
		History: parley.History{Retries: 1, Attempts: 1, FirstFailure: now, LastFailure: now, FirstError: "connection refused", LastError: "connection refused"},
	}
	_, _ = rand.Read(f.RepeatOf)
	return f
}

// park keeps one failure, as consumers do.
func (w *bench) park(b *testing.B, db *failureDB) time.Duration {
	b.Helper()
	list := []parley.Failure{w.failure(b, 0, parley.FailureParked)}
	return since(func() {
		if _, err := db.store.Keep(b.Context(), w.queue, list); err != nil {
			b.Fatal(err)
		}
	})
}

// claim keeps, claims and settles 16 due failures. It measures the claim.
func (w *bench) claim(b *testing.B, db *failureDB) time.Duration {
	b.Helper()
	claim, _ := w.claimAndSettle(b, db)
	return claim
}

// settleClaims does the same. It measures the settlements.
func (w *bench) settleClaims(b *testing.B, db *failureDB) time.Duration {
	b.Helper()
	_, settle := w.claimAndSettle(b, db)
	return settle
}

func (w *bench) claimAndSettle(b *testing.B, db *failureDB) (claim, settle time.Duration) {
	b.Helper()
	const n = 16
	list := make([]parley.Failure, n)
	for i := range list {
		list[i] = w.failure(b, i, parley.FailureWaiting)
	}
	if _, err := db.store.Keep(b.Context(), w.queue, list); err != nil {
		b.Fatal(err)
	}
	var rows []parley.ClaimedFailure
	claim = since(func() {
		var err error
		rows, err = db.store.Claim(b.Context(), w.queue, parley.FailureClaimOptions{Limit: n, KeyRun: 20, Owner: "bench", Lease: time.Minute})
		if err != nil || len(rows) != n {
			b.Fatalf("claimed %d of %d: %v", len(rows), n, err)
		}
	})
	return claim, since(func() {
		for i := range rows {
			if err := db.store.Settle(b.Context(), rows[i].FailureClaim, parley.FailureOutcome{Action: parley.FailureDone}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// consumeWith handles messages that do not fail.
func (w *bench) consumeWith(db *failureDB) func(b *testing.B) int {
	return func(b *testing.B) int {
		n := size()
		w.rawPublish(b, w.messages(b, n), 1000)
		r := parley.NewRouter()
		parley.On(r, w.event, func(context.Context, parley.Event[user]) error { return nil })
		timed(func() { w.runUntilHandled(b, r, n, &parley.ConsumerConfig{Failures: db.store, Prefetch: 300}) })
		w.purge(b, 0)
		return n
	}
}

// onTxWith handles messages that do not fail, each in a transaction.
func (w *bench) onTxWith(db *failureDB) func(b *testing.B) int {
	return func(b *testing.B) int {
		const n = 3000
		w.rawPublish(b, w.messages(b, n), 1000)
		r := parley.NewRouter()
		db.onTx(b, r, w.queue, w.event)
		timed(func() { w.runUntilHandled(b, r, n, &parley.ConsumerConfig{Failures: db.store}) })
		w.purge(b, 0)
		return n
	}
}

// failuresMemory handles a backlog of messages in a queue, of which each hundredth attempt fails, and samples the memory of the process
// and the rate. The last tenth includes the wait for the last retries.
func (w *bench) failuresMemory(b *testing.B, db *failureDB) {
	const batch = 10_000
	n := backlog()
	for range b.N {
		for range n / batch {
			w.rawPublish(b, w.messages(b, batch), 1000)
		}
		debug.FreeOSMemory() // do not measure the memory that filled the queue
		p := &progress{n: n}
		var attempts atomic.Int64
		r := parley.NewRouter()
		parley.On(r, w.event, func(context.Context, parley.Event[user]) error {
			if attempts.Add(1)%100 == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		cfg := &parley.ConsumerConfig{
			Failures: db.store, KillSwitch: parley.KillSwitchConfig{Share: 2},
			Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second, time.Second, time.Second, time.Second}},
		}
		w.runUntilHandled(b, r, n, cfg, func(int) { p.add(b, 1) })
		p.report(b)
	}
}
