package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/parley-go/parley/internal/sqlstore"
)

// Watch implements parley.RelayWaker: it asks a connection of its own, every
// Config.WatchInterval, whether another one has committed, of this process or another. It
// asks at once after a transaction of InTx or Once.
func (s *Store) Watch(ctx context.Context, wake func()) error {
	err := s.watch(ctx, wake)
	if ctx.Err() != nil {
		return nil
	}
	return fail("watch for commits", err)
}

func (s *Store) watch(ctx context.Context, wake func()) (err error) {
	// Not one of s.db's connections: that may have only one. It leaves the file's mode as it is.
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
		ended := s.ended.wait() // before the look, so that no end falls between the two
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

// A broadcast tells all that wait for it that something has happened.
type broadcast struct {
	mu sync.Mutex
	// mu guards the field below; nil until somebody waits.
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
