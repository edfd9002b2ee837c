//go:build !race

package benchmarks_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// BenchmarkManyConsumers runs 100 consumers (PARLEY_BENCH_CONSUMERS) in one process, each with a queue of its own, on one connection.
// The sides against it are as many raw consumers on one connection, which decode nothing (Raw), and one consumer of one queue with as
// many messages (One). Each side has a prefetch of 64 a queue, and its time includes the subscriptions. No side declares retry
// queues. The log says how much memory and how many goroutines the process has at the end of the last round.
func BenchmarkManyConsumers(b *testing.B) {
	n := size()
	many, one := setUpFan(b, number("PARLEY_BENCH_CONSUMERS", 100)), setUpFan(b, 1)
	ours := func(f *fan) side {
		return side{fmt.Sprintf("parley, consumers: %d", len(f.queues)), func(b *testing.B) int {
			f.rawPublish(b, f.messages(b, n), 1000)
			timed(func() { f.consume(b, n) })
			f.purge(b, 0)
			return n
		}}
	}
	raw := side{fmt.Sprintf("raw, consumers: %d", len(many.queues)), func(b *testing.B) int {
		many.rawPublish(b, many.messages(b, n), 1000)
		timed(func() { many.rawConsume(b, n) })
		return n
	}}
	againstRawAndOne(b, raw, ours(one), ours(many), func(b *testing.B) {
		b.Logf("%d consumers: %.0f MiB resident, %d goroutines", len(many.queues), many.resident, many.goroutines)
		b.ReportMetric(many.resident, "MiB")
		b.ReportMetric(float64(many.goroutines), "goroutines")
	})
}

// againstRawAndOne compares a side with the raw client, and with itself on one queue. report adds to a result.
func againstRawAndOne(b *testing.B, raw, one, many side, report func(b *testing.B)) {
	b.Helper()
	for _, c := range []struct {
		name   string
		theirs side
	}{{"Raw", raw}, {"One", one}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				compare(b, c.theirs, many)
			}
			report(b)
		})
	}
}

// BenchmarkManyQueues drains an outbox whose events go to 200 queues in turn (PARLEY_BENCH_QUEUES), each bound with a routing key of its
// own, against raw publishing of the same messages (Raw), and against a relay whose events all go to one queue (One).
func BenchmarkManyQueues(b *testing.B) {
	n := size()
	many, one, o := setUpFan(b, number("PARLEY_BENCH_QUEUES", 200)), setUpFan(b, 1), openOutbox(b)
	messages := many.messages(b, n)
	ours := func(f *fan) side {
		return side{fmt.Sprintf("parley relay, queues: %d", len(f.queues)), func(b *testing.B) int {
			relay := must(parley.NewRelay(o.store, f.broker, &parley.RelayConfig{Logger: quiet()}))
			o.fillEach(b, n, f.event)
			timed(func() {
				if moved, err := relay.Drain(b.Context()); moved != n || err != nil {
					b.Fatalf("moved %d: %v", moved, err)
				}
			})
			f.purge(b, n)
			return n
		}}
	}
	raw := side{fmt.Sprintf("raw, queues: %d", len(many.queues)), func(b *testing.B) int {
		timed(func() { many.rawPublish(b, messages, 1000) })
		many.purge(b, n)
		return n
	}}
	againstRawAndOne(b, raw, ours(one), ours(many), func(*testing.B) {})
}

// A fan is an exchange with several queues, each bound with a routing key of its own.
type fan struct {
	*bench
	queues []string
	events []*parley.EventType[user] // one for each queue

	resident   float64 // MiB of the process when the last message was handled
	goroutines int     // at the same time
}

func setUpFan(b *testing.B, queues int) *fan {
	b.Helper()
	f := &fan{bench: setUp(b)}
	exchange := f.exchange + ".fan"
	t := parley.Topology{Exchanges: []parley.Exchange{{Name: exchange}}}
	for i := range queues {
		queue, key := fmt.Sprintf("%s.%d", f.queue, i), fmt.Sprintf("user.renamed.%d", i)
		f.queues, f.events = append(f.queues, queue), append(f.events, parley.NewEvent[user](exchange, key))
		t.Queues = append(t.Queues, parley.Queue{Name: queue})
		t.Bindings = append(t.Bindings, parley.Binding{Queue: queue, Exchange: exchange, RoutingKey: key})
	}
	b.Cleanup(func() {
		errs := []error{f.broker.DeleteExchange(context.Background(), exchange)}
		for _, queue := range f.queues {
			errs = append(errs, f.broker.DeleteQueue(context.Background(), queue))
		}
		if err := errors.Join(errs...); err != nil {
			b.Error(err)
		}
	})
	start := time.Now()
	if err := f.broker.Declare(b.Context(), t); err != nil {
		b.Fatal(err)
	}
	b.Logf("queues declared and bound: %d in %v", queues, time.Since(start).Round(time.Millisecond))
	return f
}

// event returns the event type of message i: the queues take turns.
func (f *fan) event(i int) *parley.EventType[user] { return f.events[i%len(f.events)] }

func (f *fan) messages(b *testing.B, n int) []parley.Message {
	b.Helper()
	return messagesOf(b, n, f.event)
}

// purge empties the queues between rounds and checks the number of their messages.
func (f *fan) purge(b *testing.B, want int) {
	b.Helper()
	total := 0
	for _, queue := range f.queues {
		n, err := f.raw.QueuePurge(queue, false)
		if err != nil {
			b.Fatal(err)
		}
		total += n
	}
	if total != want {
		b.Fatalf("%d messages were in the queues, want %d", total, want)
	}
}

// consume runs a consumer for each queue until n messages have been handled.
func (f *fan) consume(b *testing.B, n int) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done, ended := make(chan struct{}, n), make(chan error, len(f.queues))
	for i, queue := range f.queues {
		r := parley.NewRouter()
		parley.On(r, f.events[i], func(context.Context, parley.Event[user]) error {
			done <- struct{}{}
			return nil
		})
		none := parley.Topology{Mode: parley.TopologyNone}
		c := must(parley.NewConsumer(f.broker, r, &parley.ConsumerConfig{Queue: queue, Topology: none, Logger: quiet()}))
		go func() { ended <- c.Run(ctx) }()
	}
	for range n {
		<-done
	}
	f.resident, f.goroutines = resident(b), runtime.NumGoroutine()
	stop()
	for range f.queues {
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}

// rawConsume does the same with a channel for each queue on one connection, without decoding.
func (f *fan) rawConsume(b *testing.B, n int) {
	b.Helper()
	conn := must(amqp.Dial(f.url))
	defer conn.Close()
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, queue := range f.queues {
		wg.Go(func() {
			ch := must(conn.Channel())
			if err := ch.Qos(64, 0, false); err != nil {
				b.Error(err)
			}
			deliveries := must(ch.Consume(queue, "", false, false, false, false, nil))
			wg.Go(func() {
				<-done
				if err := ch.Close(); err != nil { // all acks have arrived
					b.Error(err)
				}
			})
			for d := range deliveries {
				if err := d.Ack(false); err != nil {
					b.Error(err)
				}
				if left.Add(-1) == 0 {
					close(done)
				}
			}
		})
	}
	wg.Wait()
}
