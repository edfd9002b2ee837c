package sqlstore

import (
	"math"
	"testing"
	"time"
)

func TestStaggeredDueTimesNeverOverflow(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for _, c := range []struct {
		every time.Duration
		i     int
		want  time.Duration
	}{
		{20 * time.Millisecond, 50, time.Second},
		{0, math.MaxInt, 0},
		{-time.Second, 3, 0},
		{time.Hour, math.MaxInt, century},
		{math.MaxInt64, 2, century},
	} {
		if got := stagger(c.every, c.i); got != c.want {
			t.Errorf("message %d, one every %v: due after %v, want %v", c.i, c.every, got, c.want)
		}
	}
}
