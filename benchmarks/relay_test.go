//go:build !race

package benchmarks_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-go/parley"
)

// BenchmarkRelayDrain drains a PostgreSQL outbox into RabbitMQ in ordered mode, against raw
// publishing of the same messages with the same window.
func BenchmarkRelayDrain(b *testing.B) {
	const window = 1000
	n := size()
	w, o := setUp(b), openOutbox(b)
	messages := w.messages(b, n)
	b.Logf("%d bytes a body", len(messages[0].Body))
	for range b.N {
		compare(b,
			side{"raw", func(b *testing.B) int {
				timed(func() { w.rawPublish(b, messages, window) })
				w.purge(b, n)
				return n
			}},
			side{"parley relay", w.drain(o, n)})
	}
}

// BenchmarkRelayScheduled drains an outbox with a million other records that are due next year
// (PARLEY_BENCH_PENDING), against one without.
func BenchmarkRelayScheduled(b *testing.B) {
	n, pending := size(), number("PARLEY_BENCH_PENDING", 1_000_000)
	w, empty, full := setUp(b), openOutbox(b), openOutbox(b)
	full.schedule(b, pending)
	for range b.N {
		compare(b, side{"none pending", w.drain(empty, n)}, side{fmt.Sprintf("%d pending", pending), w.drain(full, n)})
	}
}

// schedule inserts records that are due next year, every tenth with tags.
func (o *outbox) schedule(b *testing.B, n int) {
	b.Helper()
	_, err := o.pool.Exec(b.Context(), `
		INSERT INTO parley_outbox (exchange, routing_key, kind, body, due_at, tags, properties)
		SELECT 'later', 'remind', 'event', '{"payload": {}}', now() + interval '1 year' + i * interval '1 second',
			CASE WHEN i % 10 = 0 THEN jsonb_build_object('user_id', i::text) END, '{}'
		FROM generate_series(1, $1::int) AS i`, n)
	if err != nil {
		b.Fatal(err)
	}
}

// drain returns a side that fills an outbox and drains it.
func (w *bench) drain(o *outbox, n int) func(b *testing.B) int {
	return func(b *testing.B) int {
		b.Helper()
		relay, err := parley.NewRelay(o.store, w.broker, &parley.RelayConfig{Logger: quiet()})
		if err != nil {
			b.Fatal(err)
		}
		o.fill(b, w.event, n)
		timed(func() {
			if moved, err := relay.Drain(b.Context()); moved != n || err != nil {
				b.Fatalf("moved %d: %v", moved, err)
			}
		})
		w.purge(b, n)
		return n
	}
}

// BenchmarkConsumer consumes a queue with router, decoding and a typed handler,
// against a raw consumer that acks each delivery without decoding.
func BenchmarkConsumer(b *testing.B) {
	const prefetch = 300
	n := size()
	w := setUp(b)
	messages := w.messages(b, n)
	for range b.N {
		compare(b,
			side{"raw", func(b *testing.B) int {
				w.rawPublish(b, messages, 1000)
				timed(func() { w.rawConsume(b, n, prefetch) })
				return n
			}},
			side{"parley consumer", func(b *testing.B) int {
				w.rawPublish(b, messages, 1000)
				timed(func() { w.consume(b, n, prefetch) })
				w.purge(b, 0)
				return n
			}})
	}
}

func (w *bench) rawConsume(b *testing.B, n, prefetch int) {
	b.Helper()
	ch := w.channel(b)
	if err := ch.Qos(prefetch, 0, false); err != nil {
		b.Fatal(err)
	}
	deliveries, err := ch.Consume(w.queue, "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		d := <-deliveries
		if err := d.Ack(false); err != nil {
			b.Fatal(err)
		}
	}
	if err := ch.Close(); err != nil { // all acks have arrived
		b.Fatal(err)
	}
}

func (w *bench) consume(b *testing.B, n, prefetch int) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done := make(chan struct{}, n)
	r := parley.NewRouter()
	parley.On(r, w.event, func(_ context.Context, e parley.Event[user]) error {
		if e.Payload.Name != "Ada Lovelace" {
			return fmt.Errorf("decoded %+v", e.Payload)
		}
		done <- struct{}{}
		return nil
	})
	c, err := parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{Queue: w.queue, Prefetch: prefetch, Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for range n {
		<-done
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
