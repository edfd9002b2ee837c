package rabbitmq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

func TestAMissingExchangeOfTheBrokersOwnNameSpaceIsRefused(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 3 {
		batch := append([]parley.Message{{Exchange: "amq.missing", RoutingKey: "k", Body: []byte("{}")}}, messages(exchange, 3)...)
		errs := b.Publish(ctx, batch)
		if len(errs) == 0 || !errors.Is(errs[0], parley.ErrRefused) {
			t.Errorf("the message to a missing amq. exchange: %v, want refused: its batch is sent again indefinitely", errs)
		}
	}
	if errs := b.Publish(ctx, []parley.Message{{Exchange: "amq.topic", RoutingKey: "no.queue", Body: []byte("{}")}}); len(errs) != 1 || !errors.Is(errs[0], parley.ErrUnroutable) {
		t.Errorf("amq.topic: %v", errs)
	}
}

func TestAMessageWithHostileHeadersIsParked(t *testing.T) {
	deep := amqp.Table{}
	for range 20 {
		deep = amqp.Table{"a": deep}
	}
	deeper := deep
	for range 20 {
		deeper = amqp.Table{"a": deeper}
	}
	list := make([]any, 8193)
	for name, headers := range map[string]amqp.Table{
		"deep": deep, "deeper than the library reads": deeper, "a list longer than the library reads": {"list": list},
		"large": {"a": string(make([]byte, 130_950))},
	} {
		t.Run(name, func(t *testing.T) {
			b, exchange, queue := open(t, rabbitmq.Config{})
			conn, err := amqp.Dial(rabbitURL(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ch, err := conn.Channel()
			if err != nil {
				t.Fatal(err)
			}
			if err := ch.Publish(exchange, "ok.a", false, false, amqp.Publishing{Headers: headers, Body: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
			r := parley.NewRouter()
			r.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return parley.Park(errors.New("no")) }))
			done := make(chan parley.ConsumerReport, 10)
			c, err := parley.NewConsumer(b, r, &parley.ConsumerConfig{Queue: queue, Logger: discard(),
				Hooks: parley.ConsumerHooks{Done: func(r parley.ConsumerReport) { done <- r }}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			select {
			case r := <-done:
				if r.Outcome != parley.OutcomeParked {
					t.Errorf("outcome %v", r.Outcome)
				}
			case <-time.After(15 * time.Second):
				t.Error("still in hand after 15s: it can never be parked")
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			deleteQueues(t, b, parley.ParkedQueue(queue), queue+".retry.10s", queue+".retry.1m", queue+".retry.10m")
		})
	}
}

func deleteQueues(t *testing.T, b *rabbitmq.Broker, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := b.DeleteQueue(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}
