package parley

import (
	"context"
	"errors"
	"time"
)

// precheck decides whether a claimed row may be attempted now.
func (r *rowSource) precheck(j *job) verdict {
	switch {
	case j.row.lost.Load():
		return verdict{action: actAbandon}
	case r.leaseOver(j):
		// Another process may have handled the rows before it, and be handling it now.
		j.row.run.broken.Store(true)
		return verdict{action: actReturn}
	case j.row.run.broken.Load(), r.s.live.Err() != nil && j.tries == 0:
		return verdict{action: actReturn}
	}
	return verdict{}
}

// leaseOver reports whether the lease of a claim may have ended: it could not be renewed, or this process was frozen.
func (r *rowSource) leaseOver(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.claims[j]
	return c != nil && time.Since(c.from) >= rowLease
}

// watch returns the context of an attempt. It is cancelled when the claim is lost.
func (r *rowSource) watch(ctx context.Context, j *job) (context.Context, func()) {
	ctx, abort := context.WithCancelCause(ctx)
	r.set(j, true, abort)
	return ctx, func() {
		r.set(j, false, nil)
		abort(nil)
	}
}

func (r *rowSource) set(j *job, running bool, abort context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.claims[j]; c != nil {
		c.running, c.abort = running, abort
	}
}

// forget removes a settled row from the registered claims.
func (r *rowSource) forget(j *job) {
	r.mu.Lock()
	delete(r.claims, j)
	r.mu.Unlock()
	r.wake()
}

// renew extends the claims until ctx ends.
func (r *rowSource) renew(ctx context.Context) {
	for sleep(ctx, renewInterval) {
		r.mu.Lock()
		claims, held := make([]FailureClaim, 0, len(r.claims)), make([]*claimed, 0, len(r.claims))
		for j, c := range r.claims {
			claims, held = append(claims, j.row.FailureClaim), append(held, c)
		}
		r.mu.Unlock()
		if len(claims) == 0 {
			continue
		}
		from := time.Now()
		lost, err := r.store.Renew(ctx, claims, rowLease)
		if err != nil && ctx.Err() == nil {
			r.c.cfg.Logger.Warn("consumer: renewing the claims of failed deliveries failed, retrying", "consumer", r.c.cfg.Name, "claims", len(claims), "err", err)
		}
		if err == nil {
			r.mu.Lock()
			for _, c := range held {
				c.from = from
			}
			r.mu.Unlock()
		}
		r.drop(lost)
	}
}

// drop cancels the attempts of rows whose claims are lost.
func (r *rowSource) drop(lost []FailureClaim) {
	if len(lost) == 0 {
		return
	}
	gone := make(map[FailureClaim]bool, len(lost))
	for _, c := range lost {
		gone[c] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for j, c := range r.claims {
		if !gone[j.row.FailureClaim] || j.row.deleted.Load() {
			continue
		}
		j.row.lost.Store(true)
		if c.abort != nil {
			c.abort(ErrClaimLost)
		}
	}
}

// release returns a row to the state before its claim.
func (r *rowSource) release(j *job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.s.hard), 5*time.Second)
	defer cancel()
	err := r.store.Settle(ctx, j.row.FailureClaim, FailureOutcome{Action: FailureRelease})
	if err != nil && !errors.Is(err, ErrClaimLost) {
		r.c.cfg.Logger.Warn("consumer: releasing a failed delivery failed, it is due again when its lease ends", r.c.attrs(j.d, err)...)
	}
	r.forget(j)
}

// releaseAll releases the claimed rows that were not handled. The row of a handler that has not returned keeps its claim until
// the lease ends.
func (r *rowSource) releaseAll() {
	r.mu.Lock()
	var left []*job
	for j, c := range r.claims {
		if !c.running && !j.row.deleted.Load() {
			left = append(left, j)
		}
	}
	r.mu.Unlock()
	for _, j := range left {
		r.release(j)
	}
}
