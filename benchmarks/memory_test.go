//go:build !race

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

// backlog returns the size of the backlogs whose memory and rate are sampled, in multiples of 10,000: PARLEY_BENCH_BACKLOG.
// Default: 200,000.
func backlog() int { return max(number("PARLEY_BENCH_BACKLOG", 200_000)/10_000, 2) * 10_000 }

// BenchmarkRelayMemory drains a backlog of rows and samples the memory of the process and the rate.
func BenchmarkRelayMemory(b *testing.B) {
	n := backlog()
	w, o := setUp(b), openOutbox(b)
	for range b.N {
		o.fill(b, w.event, n)
		debug.FreeOSMemory() // do not measure the memory that filled the table
		p := &progress{n: n}
		relay, err := parley.NewRelay(o.store, w.broker, &parley.RelayConfig{Logger: quiet(), Hooks: parley.RelayHooks{
			Batch: func(r parley.BatchReport) { p.add(b, r.Accepted) },
		}})
		if err != nil {
			b.Fatal(err)
		}
		if moved, err := relay.Drain(b.Context()); moved != n || err != nil {
			b.Fatalf("moved %d: %v", moved, err)
		}
		w.purge(b, n)
		p.report(b)
	}
}

// BenchmarkConsumerMemory handles a backlog of messages in a queue and samples the memory of the process and the rate.
func BenchmarkConsumerMemory(b *testing.B) {
	const batch = 10_000
	n := backlog()
	w := setUp(b)
	for range b.N {
		func() {
			messages := w.messages(b, batch)
			for range n / batch {
				w.rawPublish(b, messages, 1000)
			}
		}()
		debug.FreeOSMemory() // do not measure the memory that filled the queue
		p := &progress{n: n}
		w.consumeSampling(b, p)
		p.report(b)
	}
}

func (w *bench) consumeSampling(b *testing.B, p *progress) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done := make(chan struct{}, 10_000)
	r := parley.NewRouter()
	parley.On(r, w.event, func(context.Context, parley.Event[user]) error {
		done <- struct{}{}
		return nil
	})
	c := must(parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{Queue: w.queue, Logger: quiet()}))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for range p.n {
		<-done
		p.add(b, 1)
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// A progress samples the time and the resident memory of the process while a backlog of n messages shrinks: at the first
// message or batch, and then a hundred times.
type progress struct {
	n, done int
	samples []sample
}

type sample struct {
	done int
	at   time.Time
	mib  float64
}

// add counts messages that are done.
func (p *progress) add(b *testing.B, done int) {
	b.Helper()
	step, before := p.n/100, p.done
	if p.done += done; before == 0 || p.done/step > before/step {
		p.samples = append(p.samples, sample{p.done, time.Now(), resident(b)})
	}
}

// at returns the first sample with at least a share of the messages done.
func (p *progress) at(share float64) sample {
	for _, s := range p.samples {
		if float64(s.done) >= share*float64(p.n) {
			return s
		}
	}
	return p.samples[len(p.samples)-1]
}

// rate returns the messages a second between two shares.
func (p *progress) rate(from, to float64) float64 {
	first, last := p.at(from), p.at(to)
	return float64(last.done-first.done) / last.at.Sub(first.at).Seconds()
}

// report reports the rate of the first, the middle and the last tenth, the ratio of the last tenth to the first, and the memory at the
// start, in the middle and at the end. The start of the relay or consumer is not part of a rate.
func (p *progress) report(b *testing.B) {
	b.Helper()
	var rates, mib, all []float64
	for tenth := range 10 {
		from := float64(tenth) / 10
		rates, mib = append(rates, p.rate(from, from+.1)), append(mib, p.at(from).mib)
	}
	for _, s := range p.samples {
		all = append(all, s.mib)
	}
	end := p.at(1).mib
	b.Logf("%d messages; messages a second in each tenth: %.0f; resident MiB at the start of each tenth: %.0f, at the end: %.0f", p.n, rates, mib, end)
	first, last := p.rate(0, .1), p.rate(.9, 1)
	b.ReportMetric(first, "first-msg/s")
	b.ReportMetric(p.rate(.45, .55), "middle-msg/s")
	b.ReportMetric(last, "last-msg/s")
	b.ReportMetric(last/first, "last-to-first")
	b.ReportMetric(mib[0], "MiB-start")
	b.ReportMetric(p.at(.5).mib, "MiB-middle")
	b.ReportMetric(end, "MiB-end")
	b.ReportMetric(slices.Max(all), "MiB-max")
	b.ReportMetric(p.rate(0, 1), "msg/s")
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
