package rabbitmq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

func TestCloseWithAnOpenSubscriptionEnds(t *testing.T) {
	var cfg rabbitmq.Config
	_, _, _, queue := behindProxy(t, &cfg)
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, b, queue, 1)
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Errorf("Next after the broker's Close: %v, want ErrSubscriptionLost", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after the broker's: %v", err)
	}
	if _, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 1}); !errors.Is(err, parley.ErrClosed) {
		t.Errorf("Subscribe after Close: %v, want ErrClosed", err)
	}
	if err := b.Ready(t.Context()); !errors.Is(err, parley.ErrClosed) {
		t.Errorf("Ready after Close: %v, want ErrClosed", err)
	}
}

func TestDeletedQueueEndsTheSubscription(t *testing.T) {
	b, _, queue := open(t, rabbitmq.Config{})
	s := subscribe(t, b, queue, 10)
	defer s.Close()
	if err := b.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Errorf("got %v, want ErrSubscriptionLost", err)
	}
}
