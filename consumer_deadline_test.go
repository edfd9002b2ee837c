package parley_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A failure store over a connection that is silently cut: a call returns only when its context ends.
type cutStore struct {
	*memory.Failures
	cut   atomic.Bool // the first Claim from now on hangs
	calls sync.Map    // of methods: the longest time that their deadlines left
}

// noDeadline is longer than any deadline.
const noDeadline = time.Duration(math.MaxInt64)

func (c *cutStore) check(ctx context.Context, method string) {
	left := noDeadline
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	before, _ := c.calls.LoadOrStore(method, left)
	c.calls.Store(method, max(left, before.(time.Duration)))
}

// wantDeadline checks that a method was called, and that no call could take longer than limit.
func (c *cutStore) wantDeadline(t *testing.T, method string, limit time.Duration) {
	t.Helper()
	switch longest, called := c.calls.Load(method); {
	case !called:
		t.Errorf("%s was not called", method)
	case longest == noDeadline:
		t.Errorf("%s was called without a deadline, want %v at most", method, limit)
	case longest.(time.Duration) > limit:
		t.Errorf("%s was called with a deadline of %v, want %v at most", method, longest, limit)
	}
}

func (c *cutStore) Check(ctx context.Context) error {
	c.check(ctx, "Check")
	return c.Failures.Check(ctx)
}

func (c *cutStore) Promote(ctx context.Context, consumer, key string) error {
	c.check(ctx, "Promote")
	return c.Failures.Promote(ctx, consumer, key)
}

func (c *cutStore) Claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	c.check(ctx, "Claim")
	if c.cut.CompareAndSwap(true, false) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return c.Failures.Claim(ctx, consumer, o)
}

func (c *cutStore) Keep(ctx context.Context, consumer string, l []parley.Failure) ([]parley.KeptFailure, error) {
	c.check(ctx, "Keep")
	return c.Failures.Keep(ctx, consumer, l)
}

func (c *cutStore) Renew(ctx context.Context, l []parley.FailureClaim, d time.Duration) ([]parley.FailureClaim, error) {
	c.check(ctx, "Renew")
	return c.Failures.Renew(ctx, l, d)
}

func (c *cutStore) Settle(ctx context.Context, l parley.FailureClaim, o parley.FailureOutcome) error {
	c.check(ctx, "Settle")
	return c.Failures.Settle(ctx, l, o)
}

func (c *cutStore) KeysWithRows(ctx context.Context, consumer string, keys []string) (map[string]bool, error) {
	c.check(ctx, "KeysWithRows")
	return c.Failures.KeysWithRows(ctx, consumer, keys)
}

func (c *cutStore) NextDue(ctx context.Context, consumer string) (time.Duration, bool, error) {
	c.check(ctx, "NextDue")
	return c.Failures.NextDue(ctx, consumer)
}

func (c *cutStore) Sweep(ctx context.Context, consumer string, retention time.Duration, limit int) (int, error) {
	c.check(ctx, "Sweep")
	return c.Failures.Sweep(ctx, consumer, retention, limit)
}

// A database connection that is cut silently must stop neither retries nor leases.
func TestASilentlyCutDatabaseConnectionDelaysRetriesByItsDeadlineOnly(t *testing.T) {
	cfg := &parley.ConsumerConfig{}
	store := &cutStore{}
	onStage(t, cfg, func(s *stage) {
		db := memory.NewStore()
		store.Failures = db.Failures()
		cfg.Failures = store
		inbox, err := parley.NewInbox(db, &parley.InboxConfig{Consumer: "q", Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		first := true
		s.router.Handle("user", "k", inbox.Handler(func(_ context.Context, _ *memory.Tx, d *parley.Delivery) error {
			if first {
				first = false
				return parley.RetryAfter(time.Second, errors.New("no"))
			}
			s.note(d)
			time.Sleep(25 * time.Second)
			return nil
		}), parley.Ordered(nil))
	}, func(s *stage) {
		s.publish(keyed("K", "a"))
		s.wait(time.Second)
		store.cut.Store(true)
		s.wait(10 * time.Minute) // the retry is due after 10 s
		if len(s.notes()) != 1 {
			t.Errorf("retries handled: %v; health %v", s.notes(), s.consumer.Health())
		}
		for _, method := range []string{"Check", "Claim", "Keep", "KeysWithRows", "NextDue", "Promote", "Sweep"} {
			store.wantDeadline(t, method, 30*time.Second)
		}
		store.wantDeadline(t, "Renew", 5*time.Second)
		store.cut.Store(false)
	})
}

func TestADrainLimitsItsCheckOfTheFailureStore(t *testing.T) {
	store := &cutStore{Failures: memory.NewStore().Failures()}
	router := parley.NewRouter()
	router.HandleFunc("user", "", func(context.Context, *parley.Delivery) error { return nil })
	consumer, err := parley.NewConsumer(memory.NewBroker(nil), router, &parley.ConsumerConfig{Queue: "q", Failures: store, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := consumer.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	store.wantDeadline(t, "Check", 30*time.Second)
}
