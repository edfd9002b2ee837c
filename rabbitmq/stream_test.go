package rabbitmq_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// streamQueue declares a stream and returns its name.
func streamQueue(t *testing.T, b *rabbitmq.Broker) string {
	t.Helper()
	queue := quorum(t, b, map[string]any{}) // only its name is used
	deleteLater(t, queue)
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue, Arguments: map[string]any{"x-queue-type": "stream"}}}}); err != nil {
		t.Fatal(err)
	}
	return queue
}

func TestASubscriptionToAStreamIsRefusedAlsoWhileItIsEmpty(t *testing.T) {
	b, _, _ := open(t, rabbitmq.Config{})
	queue := streamQueue(t, b)
	refused := func(when string) {
		t.Helper()
		for _, o := range []parley.SubscribeOptions{{Prefetch: 10}, {Prefetch: 10, First: 2, SharedQueue: true}} {
			_, err := b.Subscribe(t.Context(), queue, o)
			invalid, ok := errors.AsType[*parley.InvalidError](err)
			if !ok {
				t.Errorf("%s: subscribing to a stream with %+v: %v, want a *parley.InvalidError", when, o, err)
				continue
			}
			if invalid.Value != queue || !strings.Contains(err.Error(), "consume a classic or quorum queue") {
				t.Errorf("%s: the error %q names neither the queue nor the cure", when, err)
			}
		}
	}
	refused("empty")
	fill(t, b, queue, 3)
	refused("with 3 messages")

	deleteLater(t, queue)
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	m := parley.Message{RoutingKey: queue, Body: []byte("{}")}
	outcomes := b.Publish(t.Context(), []parley.Message{m})
	if outcomes != nil && errors.Is(outcomes[0], parley.ErrUnknown) {
		outcomes = b.Publish(t.Context(), []parley.Message{m}) // RabbitMQ 4.0 may end a channel that has published to the stream (541)
	}
	if outcomes != nil {
		t.Fatal(outcomes)
	}
	s := subscribe(t, b, queue, 1)
	defer s.Close()
	next(t, s) // the queue of the same name is no stream
}

func TestAMessageCopiedFromAStreamIsConsumed(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	out := messages(exchange, 2)
	for i := range out {
		out[i].Headers = map[string]any{"x-stream-offset": int64(i)}
	}
	if errs := b.Publish(t.Context(), out); errs != nil {
		t.Fatal(errs)
	}
	s := subscribe(t, b, queue, 2)
	defer s.Close()
	for range out {
		next(t, s)
	}
}
