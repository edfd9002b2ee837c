package benchmarks_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// BenchmarkRelayMemory drains 200,000 rows (PARLEY_BENCH_BACKLOG) and samples the memory of the process.
func BenchmarkRelayMemory(b *testing.B) {
	n := number("PARLEY_BENCH_BACKLOG", 200_000)
	w, o := setUp(b), openOutbox(b)
	for range b.N {
		o.fill(b, w.event, n)
		var samples []float64
		moved := 0
		relay, err := parley.NewRelay(o.store, w.broker, &parley.RelayConfig{Logger: quiet(), Hooks: parley.RelayHooks{
			Batch: func(r parley.BatchReport) {
				if moved += r.Accepted; moved/10_000 != (moved-r.Accepted)/10_000 {
					samples = append(samples, resident(b))
				}
			},
		}})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if moved, err := relay.Drain(b.Context()); moved != n || err != nil {
			b.Fatalf("moved %d: %v", moved, err)
		}
		took := time.Since(start)
		w.purge(b, n)
		reportMemory(b, samples, float64(n)/took.Seconds())
	}
}

// BenchmarkConsumerMemory handles a queue of 200,000 messages (PARLEY_BENCH_BACKLOG, in multiples of
// 10,000) and samples the memory of the process.
func BenchmarkConsumerMemory(b *testing.B) {
	const batch = 10_000
	n := max(number("PARLEY_BENCH_BACKLOG", 200_000)/batch, 2) * batch
	w := setUp(b)
	for range b.N {
		func() {
			messages := w.messages(b, batch)
			for range n / batch {
				w.rawPublish(b, messages, 1000)
			}
		}()
		debug.FreeOSMemory() // do not measure the memory that filled the queue
		var samples []float64
		took := w.consumeSampling(b, n, batch, &samples)
		reportMemory(b, samples, float64(n)/took.Seconds())
	}
}

func (w *bench) consumeSampling(b *testing.B, n, every int, samples *[]float64) time.Duration {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done := make(chan struct{}, every)
	r := parley.NewRouter()
	parley.On(r, w.event, func(context.Context, parley.Event[user]) error {
		done <- struct{}{}
		return nil
	})
	c := must(parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{Queue: w.queue, Logger: quiet()}))
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- c.Run(ctx) }()
	for i := range n {
		<-done
		if (i+1)%every == 0 {
			*samples = append(*samples, resident(b))
		}
	}
	took := time.Since(start)
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return took
}

func reportMemory(b *testing.B, samples []float64, rate float64) {
	b.Helper()
	half := len(samples) / 2
	b.Logf("resident MiB every 10,000 messages: %.0f", samples)
	b.ReportMetric(median(samples[:half]), "MiB-first-half")
	b.ReportMetric(median(samples[half:]), "MiB-second-half")
	b.ReportMetric(slices.Max(samples), "MiB-max")
	b.ReportMetric(rate, "msg/s")
	b.ReportMetric(0, "ns/op")
}

// resident returns the process's memory in MiB.
func resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatalf("measuring memory needs Linux's /proc: %v", err)
	}
	var size, pages float64
	if _, err := fmt.Fscan(strings.NewReader(string(text)), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
