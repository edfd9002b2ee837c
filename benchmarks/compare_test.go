//go:build !race

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

// rounds returns the number of rounds of each side: PARLEY_BENCH_ROUNDS. Default: 7.
func rounds() int { return number("PARLEY_BENCH_ROUNDS", 7) }

// size returns the number of messages that most benchmarks move in a round: PARLEY_BENCH_MESSAGES. Default: 20,000.
func size() int { return number("PARLEY_BENCH_MESSAGES", 20_000) }

// number reads a number from an environment variable.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// A side does the work once and returns the number of messages.
type side struct {
	name string
	work func(b *testing.B) int
}

// compare runs both sides in turn. It reports messages per second, the ratio of ours to
// theirs, and the cost of a message in this process, which includes the client of the broker and of the database. It returns our
// median rate.
func compare(b *testing.B, theirs, ours side) float64 {
	b.Helper()
	n := rounds()
	var a, o, ratios []float64
	costs := map[string][]cost{}
	for round := range n {
		first, second := theirs, ours
		if round%2 == 1 {
			first, second = ours, theirs
		}
		rate := map[string]float64{}
		for _, s := range []side{first, second} {
			var c cost
			rate[s.name], c = measure(b, s)
			costs[s.name] = append(costs[s.name], c)
		}
		a, o = append(a, rate[theirs.name]), append(o, rate[ours.name])
		ratios = append(ratios, rate[ours.name]/rate[theirs.name])
	}
	b.Logf("%s: %s msg/s, %s; %s: %s msg/s, %s; ratio %s",
		theirs.name, spread(a, 0), costs[theirs.name][n-1], ours.name, spread(o, 0), costs[ours.name][n-1], spread(ratios, 3))
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(slices.Min(ratios), "ratio-min")
	b.ReportMetric(slices.Max(ratios), "ratio-max")
	b.ReportMetric(median(o), "msg/s")
	b.ReportMetric(0, "ns/op") // not meaningful here
	reportProcessor(b, costs[theirs.name], costs[ours.name])
	return median(o)
}

// reportProcessor reports the CPU time, user and system, that this process spends on a message: ours, theirs, and the ratio of
// ours to theirs. All are medians of the rounds. It reports nothing where the system does not count the time.
func reportProcessor(b *testing.B, theirs, ours []cost) {
	b.Helper()
	var a, o, ratios []float64
	for i := range ours {
		if theirs[i].cpu <= 0 || ours[i].cpu <= 0 {
			return
		}
		a, o = append(a, theirs[i].cpu), append(o, ours[i].cpu)
		ratios = append(ratios, ours[i].cpu/theirs[i].cpu)
	}
	b.Logf("CPU time of this process per message: theirs %s µs, ours %s µs, ratio %s", spread(a, 1), spread(o, 1), spread(ratios, 2))
	b.ReportMetric(median(o), "cpu-us/msg")
	b.ReportMetric(median(a), "their-cpu-us/msg")
	b.ReportMetric(median(ratios), "cpu-ratio")
}

// compareEach runs one operation on both sides in turn, several times per round, and compares the median durations. So other load of
// the machine affects both sides. An operation returns the duration of its measured part.
func compareEach(b *testing.B, times int, theirs, ours func() time.Duration) {
	b.Helper()
	var a, o, ratios []float64
	for range rounds() {
		var them, us []float64
		for i := range times {
			if i%2 == 0 {
				them, us = append(them, micros(theirs())), append(us, micros(ours()))
			} else {
				us, them = append(us, micros(ours())), append(them, micros(theirs()))
			}
		}
		a, o = append(a, median(them)), append(o, median(us))
		ratios = append(ratios, median(them)/median(us))
	}
	b.Logf("%s µs; %s µs; ratio %s", spread(a, 0), spread(o, 0), spread(ratios, 3))
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(slices.Min(ratios), "ratio-min")
	b.ReportMetric(slices.Max(ratios), "ratio-max")
	b.ReportMetric(median(o), "µs")
	b.ReportMetric(0, "ns/op")
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// since returns the duration of f.
func since(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// cost is the cost of one message in this process; cpu is in microseconds.
type cost struct{ allocs, bytes, cpu float64 }

func (c cost) String() string {
	return fmt.Sprintf("%.0f allocations and %.0f bytes per message", c.allocs, c.bytes)
}

func measure(b *testing.B, s side) (rate float64, c cost) {
	b.Helper()
	runtime.GC()
	watch = stopwatch{}
	n := s.work(b)
	if watch.took <= 0 {
		b.Fatalf("%s has not been timed", s.name)
	}
	return float64(n) / watch.took.Seconds(), cost{float64(watch.allocs) / float64(n), float64(watch.bytes) / float64(n), micros(watch.cpu) / float64(n)}
}

// A stopwatch measures the work without its preparation.
type stopwatch struct {
	took, cpu     time.Duration
	allocs, bytes uint64
}

var watch stopwatch

// timed runs the measured part of the work.
func timed(f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, busy := time.Now(), processorTime()
	f()
	watch.took += time.Since(start)
	watch.cpu += processorTime() - busy
	runtime.ReadMemStats(&after)
	watch.allocs += after.Mallocs - before.Mallocs
	watch.bytes += after.TotalAlloc - before.TotalAlloc
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// spread formats minimum, median and maximum.
func spread(v []float64, digits int) string {
	return fmt.Sprintf("%.*f/%.*f/%.*f", digits, slices.Min(v), digits, median(v), digits, slices.Max(v))
}

// percentile returns a percentile of v.
func percentile(v []float64, p float64) float64 {
	return slices.Sorted(slices.Values(v))[int(p*float64(len(v)-1))]
}
