//go:build !race

package benchmarks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// BenchmarkFailingKeys handles 50 keys in order with concurrency 16, 1,000 messages a second, while one message in
// twenty of every fifth key fails twice. It reports how long messages of the healthy keys take from
// their publication to their handler, at the 99th percentile, against a run without failures.
func BenchmarkFailingKeys(b *testing.B) {
	w := setUp(b)
	for range b.N {
		sound, _ := w.keys(b, false)
		beside, failing := w.keys(b, true)
		b.Logf("healthy keys p50/p99: %v/%v with no failures, %v/%v beside failing keys; failing keys %v/%v",
			at(sound, .5), at(sound, .99), at(beside, .5), at(beside, .99), at(failing, .5), at(failing, .99))
		b.ReportMetric(float64(at(beside, .99))/float64(at(sound, .99)), "ratio-p99")
		b.ReportMetric(0, "ns/op")
	}
}

func at(of []time.Duration, p float64) time.Duration {
	return slices.Sorted(slices.Values(of))[int(p*float64(len(of)-1))].Round(time.Microsecond)
}

// keys runs the work once and checks the order of every key.
func (w *bench) keys(b *testing.B, fail bool) (sound, failing []time.Duration) {
	b.Helper()
	const n, keys = 5000, 50
	var mu sync.Mutex
	last, tries := map[int]int{}, map[int]int{}
	sent := make([]time.Time, n)
	done := make(chan struct{}, n)
	r := parley.NewRouter()
	r.HandleFunc(w.exchange, "", func(_ context.Context, d *parley.Delivery) error {
		i, _ := strconv.Atoi(string(d.Body))
		mu.Lock()
		defer mu.Unlock()
		key := i % keys
		if fail && key%5 == 0 && (i/keys)%20 == 7 && tries[i] < 2 {
			tries[i]++
			return errors.New("not yet")
		}
		if before, ok := last[key]; ok && before >= i {
			b.Errorf("key %d: %d after %d", key, i, before)
		}
		last[key] = i
		took := time.Since(sent[i])
		if key%5 == 0 {
			failing = append(failing, took)
		} else {
			sound = append(sound, took)
		}
		done <- struct{}{}
		return nil
	}, parley.Ordered(nil))
	consumer := must(parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{
		Queue: w.queue, Concurrency: 16, Logger: quiet(),
		Retry: parley.RetryPolicy{Immediate: []time.Duration{20 * time.Millisecond, 100 * time.Millisecond}, Delays: []time.Duration{}},
	}))
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < n; {
		<-tick.C
		var batch []parley.Message
		for range 10 {
			m := parley.Message{Exchange: w.exchange, RoutingKey: "k", Body: fmt.Append(nil, i)}
			m.SetHeader(parley.HeaderKey, strconv.Itoa(i%keys))
			mu.Lock()
			sent[i] = time.Now()
			mu.Unlock()
			batch = append(batch, m)
			i++
		}
		if errs := w.broker.Publish(ctx, batch); errs != nil {
			b.Fatal(errors.Join(errs...))
		}
	}
	for range n {
		<-done
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return sound, failing
}
