package sqlite

import (
	"context"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

var (
	_ parley.OutboxSummarizer = (*Store)(nil)
	_ parley.LeaderInspector  = (*Store)(nil)
)

// Leader implements parley.LeaderInspector. A relay leads while it has the lease; a relay at rest has none.
func (s *Store) Leader(ctx context.Context) (*parley.RelayLeader, error) {
	var leads bool
	err := sqlstore.Retry(ctx, transient, func() error { return s.db.QueryRowContext(ctx, "SELECT "+leased).Scan(&leads) })
	if err != nil || !leads {
		return nil, fail("find the leading relay", err)
	}
	return &parley.RelayLeader{}, nil
}
