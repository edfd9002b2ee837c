package parley_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// lostClaims are a failure store that returns ErrClaimLost for each outcome, as after an outage longer than the lease, and that notes
// how many claims are renewed.
type lostClaims struct {
	*memory.Failures
	renewed atomic.Int64
}

func (s *lostClaims) Settle(ctx context.Context, c parley.FailureClaim, _ parley.FailureOutcome) error {
	if err := s.Failures.Settle(ctx, c, parley.FailureOutcome{Action: parley.FailureDone}); err != nil { // another process has handled it
		return err
	}
	return parley.ErrClaimLost
}

func (s *lostClaims) Renew(ctx context.Context, claims []parley.FailureClaim, lease time.Duration) ([]parley.FailureClaim, error) {
	s.renewed.Store(int64(len(claims)))
	return s.Failures.Renew(ctx, claims, lease)
}

// A job whose claim is lost must be forgotten with its body, and not renewed until the session ends, which may be weeks later.
func TestALostClaimIsForgotten(t *testing.T) {
	store := &lostClaims{}
	cfg := &parley.ConsumerConfig{Failures: store, Retry: parley.RetryPolicy{Immediate: []time.Duration{}}, KillSwitch: parley.KillSwitchConfig{Share: 2}}
	onRows(t, cfg, func(s *rowStage) {
		store.Failures = s.table
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return errors.New("no") })
	}, func(s *rowStage) {
		for range 20 {
			s.publish(parley.Message{Body: []byte("x")})
		}
		s.wait(10 * time.Minute)
		if rows := s.rows(); len(rows) != 0 {
			t.Fatalf("%d rows are left", len(rows))
		}
		if n := store.renewed.Load(); n != 0 {
			t.Errorf("10 minutes later there is no row, and %d claims are still renewed", n)
		}
	})
}

// unreachable fails before it loses the claim, as when the database is unreachable for longer than the lease.
type unreachable struct {
	*memory.Failures
	failed atomic.Bool
}

func (s *unreachable) Settle(ctx context.Context, c parley.FailureClaim, _ parley.FailureOutcome) error {
	if !s.failed.Swap(true) {
		return errors.New("connection refused")
	}
	return errors.Join(s.Failures.Settle(ctx, c, parley.FailureOutcome{Action: parley.FailureDone}), parley.ErrClaimLost)
}

func TestAfterALostClaimHealthNoLongerReportsItsDeliveryAsNotStored(t *testing.T) {
	store := &unreachable{}
	cfg := &parley.ConsumerConfig{Failures: store, Retry: parley.RetryPolicy{Immediate: []time.Duration{}}, KillSwitch: parley.KillSwitchConfig{Share: 2}}
	onRows(t, cfg, func(s *rowStage) {
		store.Failures = s.table
		s.router.HandleFunc("user", "k", func(context.Context, *parley.Delivery) error { return errors.New("no") })
	}, func(s *rowStage) {
		s.publish(parley.Message{Body: []byte("x")})
		s.wait(10 * time.Minute)
		if err := s.consumer.Health(); err != nil || !store.failed.Load() {
			t.Errorf("health %v after the claim was lost, want nil", err)
		}
	})
}
