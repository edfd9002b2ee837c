package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/parley-go/parley/internal/sqlstore"
)

// Watch implements parley.RelayWaker. Every Config.WatchInterval it checks, on a connection of its
// own, whether another connection has committed, of this process or another one. It
// also checks right after a transaction of InTx or Once.
func (s *Store) Watch(ctx context.Context, wake func()) error {
	err := s.watch(ctx, wake)
	if ctx.Err() != nil {
		return nil
	}
	return fail("watch for commits", err)
}

func (s *Store) watch(ctx context.Context, wake func()) (err error) {
	// Not one of s.db's connections: the pool may have only one. It does not change the file's mode.
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
	return s.poll(ctx, conn, wake)
}

// poll calls wake at the start and whenever data_version has changed: SQLite's number of
// commits by other connections.
func (s *Store) poll(ctx context.Context, conn *sql.Conn, wake func()) error {
	tick := time.NewTicker(s.cfg.WatchInterval)
	defer tick.Stop()
	last := int64(-1)
	for {
		ended := s.ended.wait() // before the check, so that no commit is missed
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
		case <-ended:
		case <-tick.C:
		}
	}
}

// A broadcast wakes all its waiters.
type broadcast struct {
	mu sync.Mutex
	// mu guards the field below, which is nil while there is no waiter.
	next chan struct{}
}

// wait returns a channel that the next signal closes.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *broadcast) signal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}
