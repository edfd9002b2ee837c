package sleep

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheEndOfTheContextEndsASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if !For(ctx, time.Second) || time.Since(start) != time.Second {
			t.Errorf("slept %v, want 1s", time.Since(start))
		}
		if For(ctx, time.Hour) || time.Since(start) != time.Minute {
			t.Errorf("slept %v, want to be woken after 1m", time.Since(start))
		}
	})
}
