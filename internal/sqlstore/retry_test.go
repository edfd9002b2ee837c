package sqlstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errLater = errors.New("later")

func later(err error) bool { return errors.Is(err, errLater) }

func TestRetryGoesOnAfterTransientErrorsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := Retry(t.Context(), later, func() error {
			calls++
			if calls < 20 {
				return errLater
			}
			return nil
		})
		if err != nil || calls != 20 {
			t.Errorf("after %d calls Retry returns %v, want nil after 20", calls, err)
		}
		calls = 0
		final := errors.New("final")
		err = Retry(t.Context(), later, func() error { calls++; return final })
		if !errors.Is(err, final) || calls != 1 {
			t.Errorf("after %d calls Retry returns %v, want the final error at once", calls, err)
		}
	})
}

func TestRetryEndsWithItsContextAndReportsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := Retry(ctx, later, func() error { return errLater })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errLater) {
			t.Errorf("Retry returns %v, want both the context's error and the last one", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("Retry took %v, want the whole minute", took)
		}
	})
}
