package rabbitmq_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

func TestAStaleAckSendsNothing(t *testing.T) {
	stale := 0
	p, b, exchange, queue := through(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{StaleAck: func() { stale++ }}})
	b.Publish(t.Context(), messages(exchange, 3))
	s := subscribe(t, b, queue, 3)
	held := []*parley.Delivery{next(t, s), next(t, s), next(t, s)}
	p.Cut()
	if _, err := s.Next(t.Context()); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Fatalf("after the cut: %v, want ErrSubscriptionLost", err)
	}
	again := subscribe(t, b, queue, 3)
	defer again.Close()
	for range held {
		next(t, again)
	}
	for _, d := range held {
		if err := d.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
			t.Errorf("settle a delivery of the lost session: %v, want ErrStale", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := p.Sent(faultproxy.BasicAck); n != 0 || stale != 3 {
		t.Errorf("%d acks sent and %d counted as stale, want 0 and 3", n, stale)
	}
}

func TestUnsettledDeliveriesAreRequeuedAndStaleAcksAreNoOps(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	b.Publish(t.Context(), messages(exchange, 3))
	s := subscribe(t, b, queue, 10)
	first, second, third := next(t, s), next(t, s), next(t, s)
	if err := second.Settle(parley.SettleAck); err != nil {
		t.Fatal(err)
	}
	if err := second.Settle(parley.SettleAck); !errors.Is(err, parley.ErrSettled) {
		t.Errorf("second settlement: got %v, want ErrSettled", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := third.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
		t.Errorf("settlement after the end: got %v, want ErrStale", err)
	}
	s = subscribe(t, b, queue, 10)
	defer s.Close()
	for _, want := range []string{first.ID, third.ID} {
		d := next(t, s)
		if d.ID != want || !d.Redelivered {
			t.Errorf("redelivered %q (flag %v), want %q", d.ID, d.Redelivered, want)
		}
	}
}
