package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

var _ parley.DueLister = (*Store)(nil)

// Due lists due records; see [parley.DueLister].
func (s *Store) Due(ctx context.Context, limit int) ([]parley.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var out []parley.Record
	for _, r := range s.rows {
		if !r.DueAt.After(now) {
			m := parley.Message{Exchange: r.Exchange, RoutingKey: r.RoutingKey, Kind: r.Kind}
			out = append(out, parley.Record{Message: m, ID: r.ID, CreatedAt: r.CreatedAt, DueAt: r.DueAt})
		}
	}
	slices.SortFunc(out, func(a, b parley.Record) int { return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID)) })
	return out[:min(len(out), limit)], ctx.Err()
}
