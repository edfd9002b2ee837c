//go:build !race

package benchmarks_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
)

// BenchmarkAwait runs one call after another, in turn with a raw echo: a request to
// one queue, a reply through another. The callee answers through an outbox in memory.
// A service's queue is durable, so the broker stores each request. The queue of the first echo is not, that of the second is.
func BenchmarkAwait(b *testing.B) {
	for _, c := range []struct {
		name    string
		durable bool
	}{{"TransientEcho", false}, {"DurableEcho", true}} {
		b.Run(c.name, func(b *testing.B) { benchmarkAwait(b, c.durable) })
	}
}

func benchmarkAwait(b *testing.B, durable bool) {
	const n = 1000
	w := setUp(b)
	caller, call, stop := w.callee(b)
	defer stop()
	echo := w.echo(b, durable)
	for range b.N {
		var theirs, ours []float64
		for i := range n {
			start := time.Now()
			echo()
			raw := time.Since(start)
			start = time.Now()
			got, err := parley.Await(b.Context(), caller, call, payload(i))
			if err != nil || got.ID != int64(i) {
				b.Fatalf("got %+v: %v", got, err)
			}
			theirs, ours = append(theirs, float64(raw.Microseconds())), append(ours, float64(time.Since(start).Microseconds()))
		}
		p := func(of []float64, p float64) float64 {
			return slices.Sorted(slices.Values(of))[int(p*float64(len(of)-1))]
		}
		b.Logf("raw echo p50 %.0f µs, p99 %.0f µs; parley Await p50 %.0f µs, p99 %.0f µs", p(theirs, .5), p(theirs, .99), p(ours, .5), p(ours, .99))
		b.ReportMetric(p(ours, .5)/p(theirs, .5), "ratio-p50")
		b.ReportMetric(p(ours, .5), "µs-p50")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkAwaitInFlight runs 10,000 concurrent calls.
func BenchmarkAwaitInFlight(b *testing.B) {
	const n = 10_000
	w := setUp(b)
	caller, call, stop := w.callee(b)
	defer stop()
	for range b.N {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if got, err := parley.Await(ctx, caller, call, payload(i)); err != nil || got.ID != int64(i) {
					b.Errorf("got %+v: %v", got, err)
				}
			})
		}
		wg.Wait()
		cancel()
		b.ReportMetric(n/time.Since(start).Seconds(), "calls/s")
	}
}

// callee runs a service that answers each call with its request, and a caller.
func (w *bench) callee(b *testing.B) (*parley.Caller, *parley.CallType[user, user], func()) {
	b.Helper()
	call := parley.NewCall[user, user](w.exchange, "echo")
	store := memory.NewStore()
	out := must(parley.NewOutbox(store, nil))
	in := must(parley.NewInbox(store, &parley.InboxConfig{Consumer: "callee"}))
	r := parley.NewRouter()
	parley.OnCall(r, in, out, call, func(_ context.Context, _ *memory.Tx, c parley.Call[user]) (user, error) { return c.Data, nil })
	queues := parley.Topology{Mode: parley.TopologyNone}
	name := testenv.Unique(b, "caller")
	caller := must(parley.NewCaller(w.broker, &parley.CallerConfig{Name: name, Logger: quiet()}))
	runners := []parley.Runner{
		must(parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{Queue: w.queue, Topology: queues, Logger: quiet()})),
		must(parley.NewRelay(store, w.broker, &parley.RelayConfig{Logger: quiet()})),
		caller,
	}
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	for _, r := range runners {
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	return caller, call, func() {
		cancel()
		wg.Wait()
		if err := w.broker.DeleteExchange(b.Context(), name); err != nil {
			b.Error(err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// echo returns a function that sends a request to a raw callee, whose queue may be durable, and waits for its reply.
func (w *bench) echo(b *testing.B, durable bool) func() {
	b.Helper()
	ask, answer := w.channel(b), w.channel(b)
	consume := func(ch *amqp.Channel, name string, durable bool) (string, <-chan amqp.Delivery) {
		q, err := ch.QueueDeclare(name, durable, true, !durable, false, nil)
		if err != nil {
			b.Fatal(err)
		}
		d, err := ch.Consume(q.Name, "", false, true, false, false, nil)
		if err != nil {
			b.Fatal(err)
		}
		return q.Name, d
	}
	requests, asked := consume(answer, w.queue+".echo", durable)
	replies, answered := consume(ask, "", false)
	body := w.messages(b, 1)[0].Body
	send := func(ch *amqp.Channel, queue string, body []byte) *amqp.DeferredConfirmation {
		c, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
		if err != nil {
			b.Error(err)
		}
		return c
	}
	for _, ch := range []*amqp.Channel{ask, answer} {
		if err := ch.Confirm(false); err != nil {
			b.Fatal(err)
		}
	}
	go func() {
		for d := range asked {
			if confirm := send(answer, replies, d.Body); confirm != nil {
				confirm.Wait()
			}
			_ = d.Ack(false)
		}
	}()
	return func() {
		confirm := send(ask, requests, body)
		if confirm == nil {
			b.FailNow() // send has reported why
		}
		d := <-answered // as in parley, the reply does not wait for the confirm
		if err := d.Ack(false); err != nil {
			b.Fatal(err)
		}
		confirm.Wait()
	}
}
