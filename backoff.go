package parley

import (
	"context"
	"math/rand/v2"
	"time"
)

// A backoff waits longer after each failure, with full jitter, so that the
// services of a fleet do not reconnect all at once.
type backoff struct {
	first, limit time.Duration
	failures     int
	tried        bool // again was called since the last reset
}

// next returns a random wait up to a bound that starts at first and doubles with each failure.
func (b *backoff) next() time.Duration {
	ceiling := b.limit
	if b.failures < 30 {
		ceiling = min(b.limit, b.first<<b.failures)
	}
	b.failures++
	return ceiling/10 + rand.N(ceiling-ceiling/10)
}

func (b *backoff) reset() { b.failures, b.tried = 0, false }

// again is wait for an operation that worked until now: the first attempt is made at once.
func (b *backoff) again(ctx context.Context) bool {
	if !b.tried {
		b.tried = true
		return ctx.Err() == nil
	}
	return b.wait(ctx)
}

// wait sleeps for the next backoff. It returns false if ctx ended first.
func (b *backoff) wait(ctx context.Context) bool { return sleep(ctx, b.next()) }

// sleep waits for d. It returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
