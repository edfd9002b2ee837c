package parley_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestDrainHandlesWaitingRowsWithoutTakingNewMessages(t *testing.T) {
	cfg := &parley.ConsumerConfig{}
	var ready atomic.Bool
	onRows(t, cfg, func(s *rowStage) {
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if !ready.Load() {
				return parley.RetryAfter(time.Minute, errors.New("not yet"))
			}
			s.note(d)
			return nil
		})
	}, func(s *rowStage) {
		s.publish(text("1"), text("2"))
		synctest.Wait()
		s.wantRows(2, parley.FailureWaiting)
		ctx := context.WithoutCancel(s.ctx)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s.ctx, s.stop = ctx, func() error { return nil }
		s.publish(text("3"))
		ready.Store(true)
		if err := s.consumer.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if got := bodies(s.notes()); len(got) != 2 || slices.Contains(got, "3") {
			t.Errorf("handled %v, want 1 and 2", got)
		}
		s.wantRows(0)
		if n, _, _ := s.broker.QueueLen(ctx, "q"); n != 1 {
			t.Errorf("%d messages in the queue, want the new one", n)
		}
	})
}
