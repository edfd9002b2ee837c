package parley_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A failingStore returns an error from Keep while down is set.
type failingStore struct {
	parley.FailureStore
	down atomic.Pointer[error]
}

func (s *failingStore) Keep(ctx context.Context, consumer string, f []parley.Failure) ([]parley.KeptFailure, error) {
	if err := s.down.Load(); err != nil {
		return nil, *err
	}
	return s.FailureStore.Keep(ctx, consumer, f)
}

func TestWhileTheDatabaseIsUnreachableAFailedDeliveryStaysUnackedAndHealthSaysSo(t *testing.T) {
	store := &failingStore{}
	cause := errors.New("connection refused")
	store.down.Store(&cause)
	cfg := &parley.ConsumerConfig{Failures: store, Prefetch: 10, KillSwitch: parley.KillSwitchConfig{Share: 0.9}}
	onRows(t, cfg, func(s *rowStage) {
		store.FailureStore = s.table
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if strings.HasPrefix(string(d.Body), "bad") {
				return parley.Park(errors.New("bad"))
			}
			s.note(d)
			return nil
		})
	}, func(s *rowStage) {
		s.publish(text("bad 1"), text("good 1"))
		s.wait(10 * time.Second)
		if err := s.consumer.Health(); err == nil || !strings.Contains(err.Error(), "cannot be stored") {
			t.Errorf("health %v, want that a delivery cannot be stored", err)
		}
		if got := bodies(s.notes()); len(got) != 1 {
			t.Errorf("handled %v beside a delivery that cannot be stored, want the good one", got)
		}
		for n := range 20 {
			s.publish(text(fmt.Sprint("bad ", n+2)))
		}
		s.wait(time.Minute)
		store.down.Store(nil)
		s.wait(2 * time.Minute)
		s.wantRows(21, parley.FailureParked)
		if err := s.consumer.Health(); err != nil {
			t.Errorf("health %v, want nil after all", err)
		}
	})
}

func TestADeliveryThatTheDatabaseRefusesGoesToTheParkedQueue(t *testing.T) {
	store := &failingStore{}
	cause := fmt.Errorf("value too long: %w", parley.ErrRefused)
	store.down.Store(&cause)
	onRows(t, &parley.ConsumerConfig{Failures: store}, func(s *rowStage) {
		store.FailureStore = s.table
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return parley.Park(errors.New("bad")) })
	}, func(s *rowStage) {
		s.publish(text("x"))
		s.wait(time.Minute)
		if parked := s.parked(); len(parked) != 1 || string(parked[0].Body) != "x" {
			t.Errorf("%d messages in the parked queue, want the one", len(parked))
		}
		if err := s.consumer.Health(); err != nil {
			t.Error(err)
		}
	})
}
