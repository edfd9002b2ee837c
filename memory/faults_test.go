package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestBlockedBrokerMakesPublishersWaitAndConsumersContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, parley.Queue{Name: "q"})
		publish(t, b, to("q", 1)...)
		b.Block()
		b.Block()
		s := subscribe(t, b, "q", 1)
		if err := next(t, s).Settle(parley.SettleAck); err != nil {
			t.Errorf("settle while blocked: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Ready(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ready while blocked: %v, want the context's error", err)
		}
		for _, err := range b.Publish(short, to("q", 2)) {
			if !errors.Is(err, parley.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("publish while blocked: %v, want ErrUnknown and the context's error", err)
			}
		}
		done := make(chan []error, 1)
		go func() { done <- b.Publish(t.Context(), to("q", 1)) }()
		synctest.Wait()
		if len(done) > 0 {
			t.Error("publish has not waited for Unblock")
		}
		b.Unblock()
		b.Unblock()
		if outcomes := <-done; outcomes != nil {
			t.Errorf("publish after Unblock: %v", outcomes)
		}
		if d := next(t, s); d.ID != "0" {
			t.Errorf("got the message %q", d.ID)
		}
		wantWaiting(t, b, "q")
	})
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

func TestRejectNextRejectsAndLoseConfirmsDelivers(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	b.RejectNext(2)
	outcomes := b.Publish(t.Context(), to("q", 3))
	if len(outcomes) != 3 || !errors.Is(outcomes[0], parley.ErrRejected) || !errors.Is(outcomes[1], parley.ErrRejected) || outcomes[2] != nil {
		t.Errorf("two to reject: %v", outcomes)
	}
	wantWaiting(t, b, "q", "2")
	b.LoseConfirms(1)
	outcomes = b.Publish(t.Context(), to("q", 2))
	if len(outcomes) != 2 || !errors.Is(outcomes[0], parley.ErrUnknown) || outcomes[1] != nil {
		t.Errorf("one confirm to lose: %v", outcomes)
	}
	wantWaiting(t, b, "q", "2", "0", "1")
}

func TestClosedBrokerRefusesEverything(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	publish(t, b, to("q", 1)...)
	s := subscribe(t, b, "q", 1)
	d := next(t, s)
	b.Block()
	ready := make(chan error, 1)
	go func() { ready <- b.Ready(context.Background()) }()
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	_, subscribeErr := b.Subscribe(t.Context(), "q", parley.SubscribeOptions{Prefetch: 1})
	_, nextErr := s.Next(t.Context())
	for what, err := range map[string]error{
		"ready before": <-ready, "ready": b.Ready(t.Context()), "publish": b.Publish(t.Context(), to("q", 1))[0],
		"declare": b.Declare(t.Context(), parley.Topology{}), "subscribe": subscribeErr, "next": nextErr,
	} {
		if !errors.Is(err, parley.ErrClosed) {
			t.Errorf("%s on a closed broker: %v, want ErrClosed", what, err)
		}
	}
	if err := d.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
		t.Errorf("settle on a closed broker: %v, want ErrStale", err)
	}
}
