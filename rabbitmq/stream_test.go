package rabbitmq_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

func TestAStreamIsNotConsumed(t *testing.T) {
	b, _, _ := open(t, rabbitmq.Config{})
	queue := quorum(t, b, map[string]any{}) // only its name is used
	deleteLater(t, queue)
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue, Arguments: map[string]any{"x-queue-type": "stream"}}}}); err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, b, queue, 10)
	fill(t, b, queue, 3)
	_, err := s.Next(t.Context())
	_ = s.Close()
	if !errors.Is(err, parley.ErrSubscriptionLost) || !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("the first message of a stream: %v, want a refusal", err)
	}
	if _, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 1}); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("subscribing again: %v, want a refusal", err)
	}
	deleteLater(t, queue)
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	fill(t, b, queue, 1)
	again := subscribe(t, b, queue, 1)
	defer again.Close()
	next(t, again)
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
