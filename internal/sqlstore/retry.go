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

// Retry runs fn until it succeeds, fails with an error that is not transient, or ctx
// ends. The delays grow, with jitter, up to 100 ms.
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
			return fmt.Errorf("%w, last error: %w", ctx.Err(), err)
		}
		pause = min(2*pause, lastRetry)
	}
}
