package parley

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestABackoffDoublesUpToItsLimit(t *testing.T) {
	for range 100 { // the waits are random
		b := backoff{first: 100 * time.Millisecond, limit: time.Second}
		for i, ceiling := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			ceiling *= time.Millisecond
			if d := b.next(); d < ceiling/10 || d >= ceiling {
				t.Fatalf("wait %d is %v, want %v to %v", i, d, ceiling/10, ceiling)
			}
		}
		b.reset()
		if d := b.next(); d >= 100*time.Millisecond {
			t.Fatalf("after a reset the wait is %v, want less than the first bound", d)
		}
	}
}

func TestABackoffNeverOverflows(t *testing.T) {
	b := backoff{first: time.Second, limit: time.Minute}
	for range 100 {
		if d := b.next(); d < 6*time.Second/60 || d >= time.Minute {
			t.Fatalf("after %d failures the wait is %v", b.failures, d)
		}
	}
}

func TestAfterAResetTheFirstAttemptIsMadeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backoff{first: time.Second, limit: time.Minute}
		for range 2 {
			begin := time.Now()
			if !b.again(t.Context()) || time.Since(begin) != 0 {
				t.Errorf("the first attempt came after %v", time.Since(begin))
			}
			if !b.again(t.Context()) || time.Since(begin) < 100*time.Millisecond {
				t.Errorf("the second attempt came after %v, want a wait", time.Since(begin))
			}
			b.reset()
		}
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if sleep(ctx, time.Hour) || time.Since(begin) != time.Second {
			t.Errorf("the wait ended after %v, want false after 1s", time.Since(begin))
		}
		if sleep(ctx, 0) {
			t.Error("a wait with an ended context returned true")
		}
		b := backoff{first: time.Second, limit: time.Minute}
		if b.again(ctx) {
			t.Error("an attempt was made with an ended context")
		}
	})
}
