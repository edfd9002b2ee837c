//go:build !race

package benchmarks_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

// BenchmarkOnTx handles each delivery in a transaction with an exactly-once effect: inbox, effect, commit,
// ack; against as many raw workers with a bare transaction for each message.
func BenchmarkOnTx(b *testing.B) {
	const n, workers = 3000, 16
	w, o := setUp(b), openOutbox(b)
	if _, err := o.pool.Exec(b.Context(), "CREATE TABLE effects (n bigint NOT NULL)"); err != nil {
		b.Fatal(err)
	}
	round := 0
	for range b.N {
		compare(b,
			side{"bare transaction", func(b *testing.B) int {
				w.rawPublish(b, w.messages(b, n), 1000)
				timed(func() { w.rawTransactions(b, o, n, workers) })
				return n
			}},
			side{"parley OnTx", func(b *testing.B) int {
				round++
				w.rawPublish(b, w.messages(b, n), 1000)
				timed(func() { w.onTx(b, o, n, workers) })
				w.purge(b, 0)
				return n
			}})
	}
	var effects int
	if err := o.pool.QueryRow(b.Context(), "SELECT count(*) FROM effects").Scan(&effects); err != nil || effects < round*n {
		b.Fatalf("%d effects: %v", effects, err)
	}
}

func (w *bench) rawTransactions(b *testing.B, o *outbox, n, workers int) {
	b.Helper()
	ch := w.channel(b)
	if err := ch.Qos(4*workers, 0, false); err != nil {
		b.Fatal(err)
	}
	deliveries, err := ch.Consume(w.queue, "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	for range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				d := <-deliveries
				err := pgx.BeginFunc(b.Context(), o.pool, func(tx pgx.Tx) error {
					_, err := tx.Exec(b.Context(), "INSERT INTO effects VALUES ($1)", int64(len(d.Body)))
					return err
				})
				if err == nil {
					err = d.Ack(false)
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := ch.Close(); err != nil {
		b.Fatal(err)
	}
}

func (w *bench) onTx(b *testing.B, o *outbox, n, workers int) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	in, err := parley.NewInbox[pgx.Tx](o.store, &parley.InboxConfig{Consumer: w.queue})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{}, n)
	r := parley.NewRouter()
	parley.OnTx(r, in, w.event, func(ctx context.Context, tx pgx.Tx, e parley.Event[user]) error {
		_, err := tx.Exec(ctx, "INSERT INTO effects VALUES ($1)", e.Payload.ID)
		return err
	})
	consumer, err := parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{
		Queue: w.queue, Concurrency: workers, Logger: quiet(),
		Hooks: parley.ConsumerHooks{Done: func(parley.ConsumerReport) { done <- struct{}{} }},
	})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx) }()
	for range n {
		<-done
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
