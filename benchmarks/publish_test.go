package benchmarks_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkPublish64Callers publishes one message a call from 64 goroutines, each confirmed
// before the next, against raw pipelined publishing with a window of 1000.
func BenchmarkPublish64Callers(b *testing.B) { callers(b, 1000) }

// BenchmarkPublish64CallersSameWindow does the same against raw publishing that has no more than 64
// messages in flight either: it tells what the callers' waiting costs and what we do.
func BenchmarkPublish64CallersSameWindow(b *testing.B) { callers(b, 64) }

func callers(b *testing.B, window int) {
	b.Helper()
	const n, callers = 20_000, 64
	w := setUp(b)
	messages := w.messages(b, n)
	for range b.N {
		compare(b,
			side{fmt.Sprintf("raw, window %d", window), func(b *testing.B) int {
				timed(func() { w.rawPublish(b, messages, window) })
				w.purge(b, n)
				return n
			}},
			side{"parley, 64 callers", func(b *testing.B) int {
				var next atomic.Int64
				timed(func() {
					var wg sync.WaitGroup
					for range callers {
						wg.Go(func() {
							for i := next.Add(1); i <= n; i = next.Add(1) {
								if outcomes := w.broker.Publish(b.Context(), messages[i-1:i]); outcomes != nil {
									b.Error(errors.Join(outcomes...))
								}
							}
						})
					}
					wg.Wait()
				})
				w.purge(b, n)
				return n
			}})
	}
}

// BenchmarkPublishBatch publishes a thousand messages a call, against raw pipelined publishing.
func BenchmarkPublishBatch(b *testing.B) {
	const n = 20_000
	w := setUp(b)
	messages := w.messages(b, n)
	for range b.N {
		compare(b,
			side{"raw pipelined", func(b *testing.B) int {
				timed(func() { w.rawPublish(b, messages, 1000) })
				w.purge(b, n)
				return n
			}},
			side{"parley, 1000 a call", func(b *testing.B) int {
				timed(func() {
					for part := range slices.Chunk(messages, 1000) {
						if outcomes := w.broker.Publish(b.Context(), part); outcomes != nil {
							b.Fatal(errors.Join(outcomes...))
						}
					}
				})
				w.purge(b, n)
				return n
			}})
	}
}

// BenchmarkPublishLatency publishes one message after another, in turn with each side.
func BenchmarkPublishLatency(b *testing.B) {
	const n = 3000
	w := setUp(b)
	messages := w.messages(b, n)
	for range b.N {
		var theirs, ours []float64
		runtime.GC()
		for i := range messages {
			one := messages[i : i+1]
			start := time.Now()
			w.rawPublish(b, one, 1)
			raw := time.Since(start)
			start = time.Now()
			if outcomes := w.broker.Publish(b.Context(), one); outcomes != nil {
				b.Fatal(errors.Join(outcomes...))
			}
			theirs, ours = append(theirs, float64(raw.Microseconds())), append(ours, float64(time.Since(start).Microseconds()))
		}
		w.purge(b, 2*n)
		report := func(of []float64, p float64) float64 {
			return slices.Sorted(slices.Values(of))[int(p*float64(len(of)-1))]
		}
		b.Logf("raw p50 %.0f µs, p99 %.0f µs; parley p50 %.0f µs, p99 %.0f µs",
			report(theirs, .5), report(theirs, .99), report(ours, .5), report(ours, .99))
		b.ReportMetric(report(ours, .5)/report(theirs, .5), "ratio-p50")
		b.ReportMetric(report(ours, .99)/report(theirs, .99), "ratio-p99")
		b.ReportMetric(report(ours, .5), "µs-p50")
		b.ReportMetric(0, "ns/op")
	}
}
