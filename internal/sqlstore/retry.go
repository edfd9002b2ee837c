package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	firstRetry = time.Millisecond
	lastRetry  = 100 * time.Millisecond
)

// Retry runs fn until it succeeds, fails for another reason than a transient one, or ctx
// ends. The pauses grow, with jitter, to a tenth of a second.
func Retry(ctx context.Context, transient func(error) bool, fn func() error) error {
	pause := firstRetry
	for {
		err := fn()
		if err == nil || !transient(err) {
			return err
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w, last: %w", ctx.Err(), err)
		}
		pause = min(2*pause, lastRetry)
	}
}
