package parley_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A countingStore counts the calls of a relay.
type countingStore struct {
	*memory.Store
	claims atomic.Int64
	waker  bool
}

func (s *countingStore) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	s.claims.Add(1)
	return s.Store.Claim(ctx, o)
}

func (s *countingStore) Watch(ctx context.Context, wake func()) error {
	if !s.waker {
		<-ctx.Done()
		return nil
	}
	return s.Store.Watch(ctx, wake)
}

// relayed runs a relay on a store that counts, publishes events one after another, and returns the claims for them.
func relayed(t *testing.T, waker bool, events int) (claims int64) {
	t.Helper()
	w := newWorld(t)
	s := &countingStore{Store: w.store, waker: waker}
	relay, err := parley.NewRelay(s, w.broker, nil)
	if err == nil {
		err = w.broker.Declare(t.Context(), topology("q"))
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := relay.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	before := s.claims.Load()
	for range events {
		w.publish(t.Context(), user{})
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if waker && len(w.store.Pending()) > 0 {
			t.Error("a woken relay has not moved the event")
		}
	}
	claims = s.claims.Load() - before
	time.Sleep(2 * time.Second) // the poll finds the rest
	synctest.Wait()
	if left := len(w.store.Pending()); left > 0 {
		t.Errorf("%d events are left", left)
	}
	stop()
	wg.Wait()
	return claims
}

// The store wakes the relay again for records that arrive during a batch.
func TestAWokenRelayClaimsOnceForAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if claims := relayed(t, true, 10); claims > 12 {
			t.Errorf("%d claims for 10 events, one after another", claims)
		}
	})
}

func TestARelayWithoutWakeUpsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { relayed(t, false, 10) })
}

func TestUnknownUnroutablePolicyIsRefused(t *testing.T) {
	if _, err := parley.NewRelay(nil, nil, &parley.RelayConfig{Unroutable: 9}); err == nil {
		t.Error("UnroutablePolicy 9 accepted; String panics on it")
	}
}

func TestBrokerOutageLosesNothing(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		synctest.Wait()
		w.broker.Block()
		for i := range 10 {
			w.publish(ctx, user{ID: int64(i)})
		}
		time.Sleep(time.Minute)
		w.broker.Unblock()
		w.broker.Disconnect()
		time.Sleep(time.Minute)
		synctest.Wait()
		got := w.received()
		if len(got) != 10 {
			t.Fatalf("received %d events, want 10", len(got))
		}
	})
}
