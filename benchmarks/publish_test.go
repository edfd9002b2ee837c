//go:build !race

package benchmarks_test

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"
)

// BenchmarkPublishBatch publishes 1,000 messages per call, against raw pipelined publishing.
func BenchmarkPublishBatch(b *testing.B) {
	n := size()
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
