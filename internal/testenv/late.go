package testenv

import (
	"runtime"
	"testing"
	"time"
)

const (
	// steps of calibrate take about quiet on a core that nothing else uses.
	steps = 20_000_000
	quiet = 40 * time.Millisecond
	// slowest bounds the factor: a test must still fail on a machine that is not usable.
	slowest = 40
)

// Late reports whether took exceeds a bound, on a machine of the speed that this one has now: the bound of a test is for a quiet machine, and
// becomes longer by the factor by which this one is slower, because other programs use it. A time within the bound costs nothing.
func Late(t testing.TB, took, bound time.Duration) bool {
	t.Helper()
	if took <= bound {
		return false
	}
	factor := slowness(calibrate())
	t.Logf("took %v, more than %v: the machine is %.1f times slower than a quiet one", took, bound, factor)
	return exceeds(took, bound, factor)
}

func exceeds(took, bound time.Duration, factor float64) bool {
	return float64(took) > float64(bound)*factor
}

// slowness returns how many times slower than a quiet machine this one is, at least 1.
func slowness(measured time.Duration) float64 {
	return min(max(1, float64(measured)/float64(quiet)), slowest)
}

// calibrate returns how long a fixed piece of work takes.
func calibrate() time.Duration {
	begin := time.Now()
	x := uint64(begin.UnixNano()) | 1
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	runtime.KeepAlive(x) // the compiler must not remove the work
	return time.Since(begin)
}
