package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/parley-go/parley/internal/sqlstore"
)

// Watch implements parley.RelayWaker: it asks a connection of its own, every
// Config.WatchInterval, whether another one has committed, of this process or another.
func (s *Store) Watch(ctx context.Context, wake func()) error {
	err := s.watch(ctx, wake)
	if ctx.Err() != nil {
		return nil
	}
	return fail("watch for commits", err)
}

func (s *Store) watch(ctx context.Context, wake func()) (err error) {
	// Not one of s.db's connections: that may have only one.
	db, err := sql.Open("sqlite", dsn(s.file, s.cfg.BusyTimeout))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return poll(ctx, conn, s.cfg.WatchInterval, wake)
}

// poll calls wake at the start and whenever data_version has changed: SQLite's number of
// commits by other connections.
func poll(ctx context.Context, conn *sql.Conn, every time.Duration, wake func()) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := int64(-1)
	for {
		var version int64
		err := sqlstore.Retry(ctx, transient, func() error {
			return conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
		})
		if err != nil {
			return err
		}
		if version != last {
			last = version
			wake()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
