package parley

import (
	"context"
	"errors"
	"slices"
	"time"
)

// An aheadClaim is the next batch, claimed ahead while the current one awaits its confirms.
type aheadClaim struct {
	began  time.Time
	except []string
	cancel context.CancelFunc
	done   chan struct{} // closed when the fields below are set
	batch  Batch
	lead   func(ctx context.Context) error
	err    error
}

// aheadLimit is the age at which a claim made ahead is dropped: while the broker is slow, its locks
// and its snapshot grow old.
const aheadLimit = time.Second

// claimAhead starts to claim the batch after a full one, if the store can. The caller must
// keep the claim in r.ahead or drop it: both join the goroutine that is started here.
func (r *Relay) claimAhead(ctx context.Context, held Batch) *aheadClaim {
	from, ok := held.(AheadBatch)
	if !ok || ctx.Err() != nil {
		return nil
	}
	c := &aheadClaim{began: time.Now(), except: r.heldExchanges(), done: make(chan struct{})}
	ctx, c.cancel = context.WithTimeout(ctx, databaseTimeout)
	o := r.claimOptions(c.except)
	go func() {
		defer close(c.done)
		c.batch, c.lead, c.err = from.ClaimAhead(ctx, o)
	}()
	return c
}

// drop releases the records.
func (c *aheadClaim) drop(ctx context.Context) {
	if c == nil {
		return
	}
	c.cancel()
	if <-c.done; c.err == nil {
		_ = c.batch.Release(ctx) // on an error the database releases them
	}
}

// dropAhead drops the claim made ahead, if there is one.
func (r *Relay) dropAhead(ctx context.Context) {
	r.ahead.drop(ctx)
	r.ahead = nil
}

// claim returns the next batch: the one that was claimed ahead, or a new one.
func (r *Relay) claim(ctx context.Context) (Batch, error) {
	except := r.heldExchanges()
	if c := r.ahead; c != nil {
		r.ahead = nil
		b, err := c.take(ctx, except)
		if err == nil || errors.Is(err, ErrStandby) {
			return b, err
		}
		// The new claim below returns the error if it concerns more than this batch.
	}
	return r.source.Claim(ctx, r.claimOptions(except))
}

func (r *Relay) claimOptions(except []string) ClaimOptions {
	return ClaimOptions{Mode: r.cfg.Mode, Limit: r.limit, MaxBytes: r.cfg.MaxBytes, Except: except}
}

var errTooOld = errors.New("claimed too long ago")

// take returns the batch if this relay still has the lead.
func (c *aheadClaim) take(ctx context.Context, except []string) (Batch, error) {
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	if ctx.Err() != nil || time.Since(c.began) > aheadLimit || !slices.Equal(except, c.except) {
		c.drop(context.WithoutCancel(ctx))
		return nil, errTooOld
	}
	if c.err != nil {
		c.cancel()
		return nil, c.err
	}
	if err := c.lead(ctx); err != nil {
		c.drop(context.WithoutCancel(ctx))
		return nil, err
	}
	c.cancel()
	return c.batch, nil
}
