package parley_test

import (
	"context"
	"errors"
	"strings"
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

// The lead is lost between two batches: the next batch is released, and another relay continues in order.
func TestARelayThatLosesTheLeadReleasesTheNextBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.broker.Declare(t.Context(), topology("q")); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			w.publish(t.Context(), user{ID: int64(i)})
		}
		relay, err := parley.NewRelay(&usurpedStore{Store: w.store}, w.broker, &parley.RelayConfig{BatchSize: 2})
		if err != nil {
			t.Fatal(err)
		}
		if moved, err := relay.Drain(t.Context()); moved != 2 || !errors.Is(err, parley.ErrStandby) {
			t.Errorf("the relay moved %d (%v), want its first 2 and ErrStandby", moved, err)
		}
		other, err := parley.NewRelay(w.store, w.broker, nil)
		if err != nil {
			t.Fatal(err)
		}
		if moved, err := other.Drain(t.Context()); moved != 3 || err != nil {
			t.Errorf("its successor moved %d (%v), want the other 3", moved, err)
		}
	})
}

// A usurpedStore loses the lead after its first batch.
type usurpedStore struct{ *memory.Store }

func (s *usurpedStore) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	b, err := s.Store.Claim(ctx, o)
	return usurpedBatch{b}, err
}

type usurpedBatch struct{ parley.Batch }

func (b usurpedBatch) ClaimAhead(ctx context.Context, o parley.ClaimOptions) (parley.Batch, func(context.Context) error, error) {
	next, _, err := b.Batch.(parley.AheadBatch).ClaimAhead(ctx, o)
	return next, func(context.Context) error { return parley.ErrStandby }, err
}

// However many large messages wait, a batch stays within MaxBytes.
func TestABacklogOfLargeMessagesIsMovedWithinItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.broker.Declare(t.Context(), topology("q")); err != nil {
			t.Fatal(err)
		}
		const events = 20
		for range events {
			w.publish(t.Context(), user{FirstName: strings.Repeat("x", 4000)})
		}
		largest := 0
		relay, err := parley.NewRelay(w.store, w.broker, &parley.RelayConfig{MaxBytes: 10_000, Hooks: parley.RelayHooks{
			Batch: func(b parley.BatchReport) { largest = max(largest, b.Records) },
		}})
		if err != nil {
			t.Fatal(err)
		}
		if moved, err := relay.Drain(t.Context()); moved != events || err != nil {
			t.Errorf("moved %d of %d: %v", moved, events, err)
		}
		if largest != 2 {
			t.Errorf("the largest batch had %d messages of 4000 bytes, want 2 in 10,000 bytes", largest)
		}
	})
}
