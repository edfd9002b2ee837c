package console

import (
	"context"
	"sync"
	"time"
)

// A Sample is one point of the graphs.
type Sample struct {
	// Published, Handled and Failed count messages since the start of the process; -1 means not known, as in a process that runs
	// neither relay nor consumer.
	Published, Handled, Failed int64
	// Lag is how long the oldest due record has been due.
	Lag time.Duration
	// Lags is the same for each exchange; an exchange without a due record has 0 or is missing. Nil means not known.
	Lags map[string]time.Duration
}

const (
	sampleEvery = 10 * time.Second
	sampleCount = 361 // an hour, both ends included
)

type sampleAt struct {
	Sample
	at time.Time
}

// ring holds the samples of the last hour.
type ring struct {
	mu   sync.Mutex // guards the fields below
	list []sampleAt
}

func (r *ring) add(at time.Time, s Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, sampleAt{s, at})
	if len(r.list) > sampleCount {
		r.list = append(r.list[:0], r.list[len(r.list)-sampleCount:]...)
	}
}

// last returns the samples since a time, oldest first.
func (r *ring) last(since time.Time) []sampleAt {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []sampleAt
	for _, s := range r.list {
		if !s.at.Before(since) {
			out = append(out, s)
		}
	}
	return out
}

// Run reads a sample of each source every 10 s, until ctx ends; it then returns nil. Without Run the graphs stay empty. A sample that
// cannot be read leaves a gap.
func (c *Console) Run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		var wg sync.WaitGroup
		for _, s := range c.sources {
			if s.Sample != nil {
				wg.Go(func() { s.sample(ctx, c.now) })
			}
		}
		wg.Wait()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *source) sample(ctx context.Context, now func() time.Time) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if got, err := s.Sample(ctx); err == nil {
		s.samples.add(now(), got)
	}
}
