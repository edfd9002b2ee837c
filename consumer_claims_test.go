package parley_test

import (
	"context"
	"errors"
	"slices"
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
		store.renewed.Store(0) // a row may have been in hand at the last renewal
		s.wait(10 * time.Minute)
		if n := store.renewed.Load(); n != 0 {
			t.Errorf("after 10 minutes without a row %d claims are still renewed", n)
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

// A store that loses the claim of each first row of a run; another process has it.
type losesFirst struct {
	*memory.Failures
	lost atomic.Bool
}

func (s *losesFirst) Settle(ctx context.Context, c parley.FailureClaim, o parley.FailureOutcome) error {
	if !s.lost.Swap(true) {
		return parley.ErrClaimLost
	}
	return s.Failures.Settle(ctx, c, o)
}

// A store that is unreachable for a time, except for outcomes.
type noRenewals struct {
	*memory.Failures
	down atomic.Bool
}

var errDown = errors.New("connection refused")

func (s *noRenewals) Renew(ctx context.Context, claims []parley.FailureClaim, lease time.Duration) ([]parley.FailureClaim, error) {
	if s.down.Load() {
		return nil, errDown
	}
	return s.Failures.Renew(ctx, claims, lease)
}

func (s *noRenewals) Claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	if s.down.Load() {
		return nil, errDown
	}
	return s.Failures.Claim(ctx, consumer, o)
}

// keepRun stores rows of one key, each of which has failed once.
func (s *rowStage) keepRun(list ...string) {
	s.t.Helper()
	for _, body := range list {
		m := keyed("K", body)
		m.Exchange, m.RoutingKey = "user", "k"
		if _, err := s.table.Keep(context.Background(), "q", []parley.Failure{{Message: m, State: parley.FailureWaiting, Key: "K"}}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// When another process has claimed a row of a run, it may be handling the rows behind it.
func TestARunEndsWhenTheClaimOfOneOfItsRowsIsLost(t *testing.T) {
	store := &losesFirst{}
	cfg := &parley.ConsumerConfig{Failures: store}
	onRows(t, cfg, func(s *rowStage) {
		store.Failures = s.table
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error { s.note(d); return nil }, parley.Ordered(nil))
		s.keepRun("1", "2", "3")
	}, func(s *rowStage) {
		s.wait(10 * time.Second)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"1"}) {
			t.Errorf("handled %v while another process has the first row, want 1 only", got)
		}
		s.wait(5 * time.Minute)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"1", "1", "2", "3"}) {
			t.Errorf("handled %v after its lease, want 1 again and then 2 and 3", got)
		}
	})
}

// The other process has handled the row and deleted it, which looks like the deletion in the handler's own transaction.
func TestARunEndsWhenAnotherProcessHasHandledOneOfItsRows(t *testing.T) {
	store := &noRenewals{}
	cfg := &parley.ConsumerConfig{Failures: store}
	onRows(t, cfg, func(s *rowStage) {
		store.Failures = s.table
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if string(d.Body) == "1" {
				store.down.Store(true)
				time.Sleep(50 * time.Second)
			}
			s.note(d)
			return nil
		}, parley.Ordered(nil))
		s.keepRun("1", "2")
	}, func(s *rowStage) {
		s.wait(40 * time.Second)
		rows, err := s.table.Claim(s.ctx, "q", parley.FailureClaimOptions{Limit: 1, KeyRun: 20, Lease: time.Minute})
		if err != nil || len(rows) != 2 {
			t.Fatalf("the other process claimed %d rows: %v", len(rows), err)
		}
		if err := s.table.Settle(s.ctx, rows[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureDone}); err != nil {
			t.Fatal(err)
		}
		s.wait(30 * time.Second)
		if got := bodies(s.notes()); !slices.Equal(got, []string{"1"}) {
			t.Errorf("handled %v while another process handles 2, want 1 only", got)
		}
		store.down.Store(false)
		if err := s.table.Settle(s.ctx, rows[1].FailureClaim, parley.FailureOutcome{Action: parley.FailureDone}); err != nil {
			t.Fatal(err)
		}
		s.wait(time.Minute)
		s.wantRows(0)
	})
}

// The first process that claims the row is frozen: its handler exceeds the lease and the claim is not renewed.
func TestAHandlerThatOutlivesItsClaimHasNoEffect(t *testing.T) {
	frozen := &stuckRenewals{}
	cfg := &parley.ConsumerConfig{Failures: frozen, Retry: parley.RetryPolicy{Immediate: []time.Duration{}}}
	var effects atomic.Int64
	onRows(t, cfg, func(s *rowStage) {
		frozen.FailureStore, frozen.tx = s.table, s.table
		inbox, err := parley.NewInbox(s.db, &parley.InboxConfig{Consumer: "q"})
		if err != nil {
			t.Fatal(err)
		}
		var slow atomic.Bool
		s.router.HandleFunc("user", "k", func(ctx context.Context, d *parley.Delivery) error {
			if d.Attempt == 1 {
				return errors.New("not yet")
			}
			if !slow.Swap(true) {
				time.Sleep(time.Minute) // another process claims meanwhile
			}
			return inbox.Handler(func(context.Context, *memory.Tx, *parley.Delivery) error {
				effects.Add(1)
				return nil
			}).Handle(ctx, d)
		})
	}, func(s *rowStage) {
		s.publish(parley.Message{Body: []byte("x")}) // no identity: only the claim prevents a second effect
		s.wait(5 * time.Minute)
		if n := effects.Load(); n != 1 {
			t.Errorf("%d effects, want 1", n)
		}
		s.wantRows(0)
	})
}

// stuckRenewals are a failure store whose claims are not renewed.
type stuckRenewals struct {
	parley.FailureStore
	tx *memory.Failures
}

func (s *stuckRenewals) Renew(context.Context, []parley.FailureClaim, time.Duration) ([]parley.FailureClaim, error) {
	return nil, errors.New("no connection")
}

func (s *stuckRenewals) SharesTx(in parley.InboxStore[*memory.Tx]) bool { return s.tx.SharesTx(in) }
func (s *stuckRenewals) DoneIn(ctx context.Context, tx *memory.Tx, c parley.FailureClaim) error {
	return s.tx.DoneIn(ctx, tx, c)
}
func (s *stuckRenewals) Promote(ctx context.Context, consumer, key string) error {
	return s.tx.Promote(ctx, consumer, key)
}
