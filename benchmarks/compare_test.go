package benchmarks_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// rounds is how often each side works: PARLEY_BENCH_ROUNDS, 7 without.
func rounds() int { return number("PARLEY_BENCH_ROUNDS", 7) }

// number reads a variable of the environment.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// A side does the work once and tells how many messages it moved.
type side struct {
	name string
	work func(b *testing.B) int
}

// compare lets both sides work in turn and reports messages a second and the ratio of
// ours to theirs, and what a message costs this process. It returns our median rate.
func compare(b *testing.B, theirs, ours side) float64 {
	b.Helper()
	n := rounds()
	var a, o, ratios []float64
	costs := map[string]cost{}
	for round := range n {
		first, second := theirs, ours
		if round%2 == 1 {
			first, second = ours, theirs
		}
		rate := map[string]float64{}
		for _, s := range []side{first, second} {
			rate[s.name], costs[s.name] = measure(b, s)
		}
		a, o = append(a, rate[theirs.name]), append(o, rate[ours.name])
		ratios = append(ratios, rate[ours.name]/rate[theirs.name])
	}
	b.Logf("%s: %s msg/s, %s; %s: %s msg/s, %s; ratio %s",
		theirs.name, spread(a, 0), costs[theirs.name], ours.name, spread(o, 0), costs[ours.name], spread(ratios, 3))
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(slices.Min(ratios), "ratio-min")
	b.ReportMetric(slices.Max(ratios), "ratio-max")
	b.ReportMetric(median(o), "msg/s")
	b.ReportMetric(0, "ns/op") // of no meaning here
	return median(o)
}

// cost is what one message costs this process.
type cost struct{ allocs, bytes float64 }

func (c cost) String() string {
	return fmt.Sprintf("%.0f allocations and %.0f bytes a message", c.allocs, c.bytes)
}

func measure(b *testing.B, s side) (rate float64, c cost) {
	b.Helper()
	runtime.GC()
	watch = stopwatch{}
	n := s.work(b)
	if watch.took <= 0 {
		b.Fatalf("%s has not been timed", s.name)
	}
	return float64(n) / watch.took.Seconds(), cost{float64(watch.allocs) / float64(n), float64(watch.bytes) / float64(n)}
}

// A stopwatch measures the work in hand, without what prepares it.
type stopwatch struct {
	took          time.Duration
	allocs, bytes uint64
}

var watch stopwatch

// timed runs the part of the work that counts.
func timed(f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	watch.took += time.Since(start)
	runtime.ReadMemStats(&after)
	watch.allocs += after.Mallocs - before.Mallocs
	watch.bytes += after.TotalAlloc - before.TotalAlloc
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// spread writes minimum, median and maximum.
func spread(v []float64, digits int) string {
	return fmt.Sprintf("%.*f/%.*f/%.*f", digits, slices.Min(v), digits, median(v), digits, slices.Max(v))
}

// percentile sorts a copy of v.
func percentile(v []float64, p float64) float64 {
	return slices.Sorted(slices.Values(v))[int(p*float64(len(v)-1))]
}
