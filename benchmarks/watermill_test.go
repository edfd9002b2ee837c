//go:build !race

package benchmarks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
)

// BenchmarkRelayWatermill drains an outbox into RabbitMQ by Watermill's forwarder, with batches of 1000 and
// confirms, and by a relay. Both read PostgreSQL and publish persistent messages with
// the same body to the same queue.
func BenchmarkRelayWatermill(b *testing.B) {
	n := size()
	few := max(n/5000, 1) * 500 // fewer messages suffice to measure its rate
	w, o := setUp(b), openOutbox(b)
	wm := newWatermill(b, w, o)
	for range b.N {
		compare(b,
			side{"watermill forwarder", func(b *testing.B) int {
				wm.fill(b, few)
				timed(func() { wm.forward(b, few) })
				w.purge(b, few)
				return few
			}},
			side{"parley relay", w.drain(o, n)})
	}
}

// watermillOutbox is an outbox as in Watermill's documentation: messages in envelopes
// in a table, and a forwarder.
type watermillOutbox struct {
	w       *bench
	o       *outbox
	log     watermill.LoggerAdapter
	in      *forwarder.Publisher
	schema  wsql.DefaultPostgreSQLSchema
	offsets wsql.DefaultPostgreSQLOffsetsAdapter
}

const forwarderTopic = "bench_forwarder"

func newWatermill(b *testing.B, w *bench, o *outbox) *watermillOutbox {
	b.Helper()
	wm := &watermillOutbox{w: w, o: o, log: watermill.NopLogger{}, schema: wsql.DefaultPostgreSQLSchema{SubscribeBatchSize: 1000}}
	publisher, err := wsql.NewPublisher(wsql.BeginnerFromPgx(o.pool),
		wsql.PublisherConfig{SchemaAdapter: wm.schema, AutoInitializeSchema: true}, wm.log)
	if err != nil {
		b.Fatal(err)
	}
	wm.in = forwarder.NewPublisher(publisher, forwarder.PublisherConfig{ForwarderTopic: forwarderTopic})
	return wm
}

func (wm *watermillOutbox) fill(b *testing.B, n int) {
	b.Helper()
	body, err := json.Marshal(payload(1))
	if err != nil {
		b.Fatal(err)
	}
	for done := 0; done < n; done += 500 {
		messages := make([]*message.Message, 0, 500)
		for i := range 500 {
			text := fmt.Sprintf(`{"eventId": %d, "eventTime": "2026-01-01T00:00:00Z", "eventType": "user.renamed", "aggregate": "user", "payload": %s}`, done+i, body)
			messages = append(messages, message.NewMessage(watermill.NewUUID(), []byte(text)))
		}
		if err := wm.in.Publish("user.renamed", messages...); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := wm.o.pool.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
}

// start runs the forwarder. It sends its result to ended; stop waits until its publisher is closed.
func (wm *watermillOutbox) start(b *testing.B, poll time.Duration, ended chan<- error) (stop func()) {
	b.Helper()
	subscriber, err := wsql.NewSubscriber(wsql.BeginnerFromPgx(wm.o.pool), wsql.SubscriberConfig{
		SchemaAdapter: wm.schema, OffsetsAdapter: wm.offsets, PollInterval: poll, InitializeSchema: true,
	}, wm.log)
	if err != nil {
		b.Fatal(err)
	}
	cfg := wamqp.NewDurableTopicConfig(wm.w.url, wm.w.exchange, wm.w.queue)
	cfg.Exchange.Durable = true
	cfg.Publish.ConfirmDelivery, cfg.Publish.ChannelPoolSize = true, 1
	publisher, err := wamqp.NewPublisher(cfg, wm.log)
	if err != nil {
		b.Fatal(err)
	}
	f, err := forwarder.NewForwarder(subscriber, publisher, wm.log, forwarder.Config{ForwarderTopic: forwarderTopic})
	if err != nil {
		b.Fatal(err)
	}
	go func() { ended <- f.Run(b.Context()) }()
	return func() {
		if err := errors.Join(f.Close(), publisher.Close()); err != nil {
			b.Error(err)
		}
	}
}

// forward runs the forwarder until n messages are in the queue.
func (wm *watermillOutbox) forward(b *testing.B, n int) {
	b.Helper()
	ended := make(chan error, 1)
	stop := wm.start(b, 10*time.Millisecond, ended)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for there := 0; there < n; <-look.C {
		var err error
		if there, _, err = wm.w.broker.QueueLen(b.Context(), wm.w.queue); err != nil {
			b.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// subscribe consumes the queue with Watermill's subscriber and records the times.
func (wm *watermillOutbox) subscribe(b *testing.B) <-chan time.Time {
	b.Helper()
	cfg := wamqp.NewDurableTopicConfig(wm.w.url, wm.w.exchange, wm.w.queue)
	cfg.Exchange.Durable = true
	cfg.QueueBind.GenerateRoutingKey = func(string) string { return "#" }
	subscriber := must(wamqp.NewSubscriber(cfg, watermill.NopLogger{}))
	deliveries := must(subscriber.Subscribe(b.Context(), "user.renamed"))
	b.Cleanup(func() { _ = subscriber.Close() })
	handled := make(chan time.Time, 1000)
	go func() {
		for d := range deliveries {
			handled <- time.Now()
			d.Ack()
		}
	}()
	return handled
}

// BenchmarkConsumerWatermill consumes a queue with Watermill's subscriber, with the same prefetch
// and without decoding, and with a parley consumer with a typed handler.
func BenchmarkConsumerWatermill(b *testing.B) {
	const prefetch = 300
	n := size()
	w := setUp(b)
	messages := w.messages(b, n)
	for range b.N {
		compare(b,
			side{"watermill subscriber", func(b *testing.B) int {
				w.rawPublish(b, messages, 1000)
				timed(func() { w.watermillConsume(b, n, prefetch) })
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

func (w *bench) watermillConsume(b *testing.B, n, prefetch int) {
	b.Helper()
	cfg := wamqp.NewDurableTopicConfig(w.url, w.exchange, w.queue)
	cfg.Exchange.Durable = true
	cfg.Consume.Qos.PrefetchCount = prefetch
	cfg.QueueBind.GenerateRoutingKey = func(string) string { return "#" }
	subscriber, err := wamqp.NewSubscriber(cfg, watermill.NopLogger{})
	if err != nil {
		b.Fatal(err)
	}
	deliveries, err := subscriber.Subscribe(b.Context(), "user.renamed")
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		(<-deliveries).Ack()
	}
	if err := subscriber.Close(); err != nil {
		b.Fatal(err)
	}
}
