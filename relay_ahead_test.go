package parley_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

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
