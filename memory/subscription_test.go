package memory_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
)

func TestPrefetchOutOfRangeIsInvalid(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	for _, prefetch := range []int{-1, 0, 65536} {
		_, err := b.Subscribe(t.Context(), "q", parley.SubscribeOptions{Prefetch: prefetch})
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("prefetch %d: %v, want ErrInvalid", prefetch, err)
		}
	}
}

func TestDisconnectLosesSubscriptionsButNoMessage(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"}, parley.Queue{Name: "mine", Exclusive: true})
	publish(t, b, to("q", 6)...)
	first, second := subscribe(t, b, "q", 2), subscribe(t, b, "q", 2)
	one, two := next(t, first), next(t, second)
	if err := one.Settle(parley.SettleAck); err != nil {
		t.Fatal(err)
	}
	b.Disconnect()
	for _, s := range []parley.Subscription{first, second} {
		if _, err := s.Next(t.Context()); !errors.Is(err, parley.ErrSubscriptionLost) {
			t.Errorf("next after the disconnect: %v, want ErrSubscriptionLost", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close a lost subscription: %v", err)
		}
	}
	if err := two.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
		t.Errorf("settle after the disconnect: %v, want ErrStale", err)
	}
	wantWaiting(t, b, "q", "1", "2", "3", "4", "5")
	if d := next(t, subscribe(t, b, "q", 1)); d.ID != "1" || !d.Redelivered {
		t.Errorf("after the disconnect comes message %q, redelivered %t", d.ID, d.Redelivered)
	}
	_, _, err := b.QueueLen(t.Context(), "mine")
	wantCode(t, err, 404)
}
