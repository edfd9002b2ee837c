package parley_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A failure store over a connection that is silently cut: a call returns only when its context ends.
type cutStore struct {
	parley.FailureStore
	cut atomic.Bool // the first Claim from now on hangs
	no  sync.Map    // methods called without a deadline
}

func (c *cutStore) check(ctx context.Context, method string) {
	if _, ok := ctx.Deadline(); !ok {
		c.no.Store(method, true)
	}
}

func (c *cutStore) Claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	c.check(ctx, "Claim")
	if c.cut.CompareAndSwap(true, false) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return c.FailureStore.Claim(ctx, consumer, o)
}

func (c *cutStore) Keep(ctx context.Context, consumer string, l []parley.Failure) ([]parley.KeptFailure, error) {
	c.check(ctx, "Keep")
	return c.FailureStore.Keep(ctx, consumer, l)
}

func (c *cutStore) Renew(ctx context.Context, l []parley.FailureClaim, d time.Duration) ([]parley.FailureClaim, error) {
	c.check(ctx, "Renew")
	return c.FailureStore.Renew(ctx, l, d)
}

func (c *cutStore) Settle(ctx context.Context, l parley.FailureClaim, o parley.FailureOutcome) error {
	c.check(ctx, "Settle")
	return c.FailureStore.Settle(ctx, l, o)
}

// A database connection that is cut silently must stop neither retries nor leases.
func TestASilentlyCutDatabaseConnectionDelaysRetriesByItsDeadlineOnly(t *testing.T) {
	cfg := &parley.ConsumerConfig{}
	store := &cutStore{}
	onStage(t, cfg, func(s *stage) {
		store.FailureStore = memory.NewStore().Failures()
		cfg.Failures = store
		first := true
		s.router.HandleFunc("user", "k", func(_ context.Context, d *parley.Delivery) error {
			if first {
				first = false
				return parley.RetryAfter(time.Second, errors.New("no"))
			}
			s.note(d)
			time.Sleep(25 * time.Second)
			return nil
		})
	}, func(s *stage) {
		s.publish(text("a"))
		s.wait(time.Second)
		store.cut.Store(true)
		s.wait(10 * time.Minute) // the retry is due after 10 s
		var without []string
		store.no.Range(func(k, _ any) bool { without = append(without, k.(string)); return true })
		if len(s.notes()) != 1 || len(without) > 0 {
			t.Errorf("retries handled: %v; health %v; called without a deadline: %v", s.notes(), s.consumer.Health(), without)
		}
		store.cut.Store(false)
	})
}
