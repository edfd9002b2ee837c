package mysql

import (
	"context"
	"database/sql"
	"time"
)

// Watch implements parley.RelayWaker: MySQL has no notifications, so it asks, every
// Config.WatchInterval, for the first and last record that is due at once and for the
// earliest due time.
func (s *Store) Watch(ctx context.Context, wake func()) error {
	err := s.poll(ctx, wake)
	if ctx.Err() != nil {
		return nil
	}
	return fail("watch for records", err)
}

func (s *Store) poll(ctx context.Context, wake func()) error {
	if err := s.checkSession(ctx); err != nil {
		return err
	}
	from := " FROM " + byDue + " WHERE o.due_at IS "
	return s.pollFor(ctx, "SELECT (SELECT o.id"+from+"NULL ORDER BY o.id LIMIT 1), (SELECT o.id"+from+"NULL ORDER BY o.id DESC LIMIT 1),"+
		" (SELECT "+micros("o.due_at")+from+"NOT NULL ORDER BY o.due_at, o.id LIMIT 1)", wake)
}

// pollFor runs a query of three numbers every Config.WatchInterval, and calls wake at first and whenever one of them has changed.
func (s *Store) pollFor(ctx context.Context, query string, wake func()) error {
	tick := time.NewTicker(s.cfg.WatchInterval)
	defer tick.Stop()
	var last [3]sql.NullInt64
	for first := true; ; first = false {
		var is [3]sql.NullInt64
		if err := s.relay.QueryRowContext(ctx, query).Scan(&is[0], &is[1], &is[2]); err != nil {
			return err
		}
		if first || is != last {
			last = is
			wake()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
