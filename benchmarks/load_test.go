//go:build !race

package benchmarks_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
)

// BenchmarkCommitToHandlerUnderLoad measures from a commit to the handler while 1,000 transactions a
// second record one event each, against the same hand-written loop as BenchmarkCommitToHandler.
func BenchmarkCommitToHandlerUnderLoad(b *testing.B) {
	const n = 3000
	w, o := setUp(b), openOutbox(b)
	o.bare(b)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 3)
	go func() { ended <- o.bareRelay(ctx, b, w) }()
	var theirs, ours stamps
	running := w.runParley(ctx, b, o, func(u user) { ours.arrived(u.ID) }, ended)
	raw, err := w.raw.Consume(w.rawQueue(b), "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for d := range raw {
			var u user
			if err := json.Unmarshal(d.Body, &u); err != nil {
				b.Error(err)
			}
			theirs.arrived(u.ID)
			if err := d.Ack(false); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		}
	}()
	<-running
	for range b.N {
		var a, p []float64
		for range rounds() {
			a = append(a, theirs.measure(b, o, n, func(tx pgx.Tx, i int) error { return o.insertBare(ctx, tx, i) })...)
			p = append(p, ours.measure(b, o, n, func(tx pgx.Tx, i int) error {
				_, err := parley.Publish(ctx, o.outbox.In(tx), w.event, payload(i))
				return err
			})...)
		}
		reportLatency(b, a, p)
	}
	stop()
	for range 3 {
		if err := <-ended; err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	}
}

// stamps hold the commit time and the arrival time of each event.
type stamps struct {
	mu        sync.Mutex // guards the fields below
	committed []time.Time
	handled   []time.Time
	left      int
	done      chan struct{}
}

func (s *stamps) arrived(i int64) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.handled[i].IsZero() {
		return
	}
	s.handled[i] = now
	if s.left--; s.left == 0 {
		close(s.done)
	}
}

// measure commits n events from four connections, 1,000 a second in total, and returns the
// latency of each in microseconds, from the end of its commit.
func (s *stamps) measure(b *testing.B, o *outbox, n int, insert func(tx pgx.Tx, i int) error) []float64 {
	b.Helper()
	const callers = 4
	// Not the relay's pool: the relay must not wait for a connection.
	pool, err := pgxpool.NewWithConfig(b.Context(), o.pool.Config())
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	s.mu.Lock()
	s.committed, s.handled, s.left, s.done = make([]time.Time, n), make([]time.Time, n), n, make(chan struct{})
	s.mu.Unlock()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			tick := time.NewTicker(callers * time.Millisecond)
			defer tick.Stop()
			for i := c; i < n; i += callers {
				<-tick.C
				if err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error { return insert(tx, i) }); err != nil {
					b.Error(err)
				}
				now := time.Now()
				s.mu.Lock()
				s.committed[i] = now
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		b.Fatal("not all events have arrived in 30 seconds")
	}
	took := make([]float64, n)
	for i := range took {
		took[i] = max(0, float64(s.handled[i].Sub(s.committed[i]).Microseconds()))
	}
	return took
}
