package parley_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A leadLog is the store as one relay sees it. It records when this relay led and when it was refused.
type leadLog struct {
	*memory.Store
	led      bool
	lost     time.Time // the time of the refusal that ended its lead, until the next claim
	losses   int
	earliest time.Duration // the shortest time between a loss and the next claim
}

func (s *leadLog) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	if !s.lost.IsZero() {
		s.earliest = min(s.earliest, time.Since(s.lost))
		s.lost = time.Time{}
	}
	b, err := s.Store.Claim(ctx, o)
	if errors.Is(err, parley.ErrStandby) && s.led {
		s.lost = time.Now()
		s.losses++
	}
	s.led = err == nil
	return b, err
}

// A slowBroker needs 10 ms to confirm a batch.
type slowBroker struct{ *memory.Broker }

func (b slowBroker) Publish(ctx context.Context, messages []parley.Message) []error {
	time.Sleep(10 * time.Millisecond)
	return b.Broker.Publish(ctx, messages)
}

func TestARelayThatHasLostTheLeadWaitsAStandbyInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.broker.Declare(t.Context(), topology("q")); err != nil {
			t.Fatal(err)
		}
		const interval = 2 * time.Second
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		stores := []*leadLog{{Store: w.store, earliest: time.Hour}, {Store: w.store, earliest: time.Hour}}
		for _, s := range stores {
			relay, err := parley.NewRelay(s, slowBroker{w.broker}, &parley.RelayConfig{StandbyInterval: interval, BatchSize: 10})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := relay.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		for range 60 * 20 { // a minute of load
			for range 3 {
				w.publish(t.Context(), user{})
			}
			time.Sleep(50 * time.Millisecond)
		}
		stop()
		wg.Wait()
		losses := stores[0].losses + stores[1].losses
		if losses == 0 {
			t.Fatal("no relay lost the lead, so that the test shows nothing")
		}
		for i, s := range stores {
			if s.losses > 0 && s.earliest < interval {
				t.Errorf("relay %d claimed %v after it had lost the lead, want at least %v", i, s.earliest, interval)
			}
		}
		if limit := int(2 * time.Minute / interval); losses > limit {
			t.Errorf("the lead was lost %d times in a minute, want at most %d", losses, limit)
		}
	})
}
