package rabbitmq_test

import (
	"errors"
	"slices"
	"testing"
	"time"

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

func TestOneAckSettlesDeliveriesThatEndInAnotherOrder(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{})
	rabbitmq.SetAckDelay(b, time.Hour)
	b.Publish(t.Context(), messages(exchange, 7))
	s := subscribe(t, b, queue, 64)
	for _, d := range slices.Backward(several(t, s, 7)) {
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // it waits until the acks were received
		t.Fatal(err)
	}
	if n := p.Sent(faultproxy.BasicAck); n != 1 {
		t.Errorf("%d acks were sent, want 1", n)
	}
	last := messages(exchange, 1)
	last[0].ID = "last"
	b.Publish(t.Context(), last)
	s = subscribe(t, b, queue, 1)
	defer s.Close()
	if d := next(t, s); d.ID != last[0].ID {
		t.Error("an acked message was redelivered")
	}
}

func TestAnAckIsSentWhileEarlierDeliveriesAreInHand(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{})
	b.Publish(t.Context(), messages(exchange, 3))
	s := subscribe(t, b, queue, 64)
	held := several(t, s, 3)
	if err := held[1].Settle(parley.SettleAck); err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.After(time.Minute), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.Sent(faultproxy.BasicAck) == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the ack waits for the delivery before it")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = subscribe(t, b, queue, 64)
	defer s.Close()
	for _, want := range []string{held[0].ID, held[2].ID} {
		if d := next(t, s); d.ID != want {
			t.Errorf("redelivered %q, want %q", d.ID, want)
		}
	}
}

// Acks that wait must not keep the prefetch from new deliveries.
func TestAcksDoNotWaitWhileTheyUseUpThePrefetch(t *testing.T) {
	_, b, exchange, queue := through(t, rabbitmq.Config{})
	rabbitmq.SetAckDelay(b, time.Hour)
	b.Publish(t.Context(), messages(exchange, 40))
	s := subscribe(t, b, queue, 16)
	defer s.Close()
	next(t, s) // in hand all the time
	for range 39 {
		if err := next(t, s).Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
	}
}

func several(t *testing.T, s parley.Subscription, n int) []*parley.Delivery {
	t.Helper()
	var all []*parley.Delivery
	for range n {
		all = append(all, next(t, s))
	}
	return all
}
