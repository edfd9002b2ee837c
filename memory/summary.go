package memory

import (
	"context"
	"time"

	"github.com/parley-go/parley"
)

var (
	_ parley.OutboxSummarizer = (*Store)(nil)
	_ parley.LeaderInspector  = (*Store)(nil)
)

// Summary returns the state of the outbox; see [parley.OutboxSummarizer].
func (s *Store) Summary(ctx context.Context, limit int) (parley.OutboxSummary, error) {
	st, err := s.Stats(ctx)
	sum := parley.OutboxSummary{OutboxStats: st}
	for _, n := range []*int64{&sum.Due, &sum.Scheduled, &sum.Parked} {
		*n = min(*n, int64(limit))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.parked); n > 0 {
		last := s.parked[n-1]
		last.Message = parley.Message{Exchange: last.Exchange, RoutingKey: last.RoutingKey, Kind: last.Kind}
		sum.LastParked, sum.OldestParked = &last, time.Since(s.parked[0].ParkedAt)
	}
	return sum, err
}

// Leader returns a relay that holds a batch; see [parley.LeaderInspector].
func (s *Store) Leader(ctx context.Context) (*parley.RelayLeader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil || s.batches == 0 {
		return nil, err
	}
	return &parley.RelayLeader{}, nil
}
