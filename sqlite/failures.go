package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

var (
	_ parley.FailureStore    = (*Failures)(nil)
	_ parley.FailureOperator = (*Failures)(nil)
	_ parley.FailureGrouper  = (*Failures)(nil)
	_ parley.ActionLog       = (*Store)(nil)
	_ parley.ControlStore    = (*Store)(nil)
	_ parley.FailureTx[Tx]   = (*Failures)(nil)
)

type failures = sqlstore.Failures[Tx]

// Failures is the table of failed deliveries, Config.FailedTable and its bodies. It is safe for concurrent use.
//
// Its transactions are short, and have priority over those of handlers that wait for the write lock. Keep waits for it for one
// second, and commits with synchronous=FULL, whatever the connection's own setting is.
type Failures struct {
	*failures
	store *Store
}

// Failures returns the store's table of failed deliveries.
func (s *Store) Failures() *Failures {
	f := &Failures{store: s}
	f.failures = sqlstore.NewFailures(s.failureDialect(), s.db, s.beginFirst, s.beginKeep)
	return f
}

// SharesTx reports whether inbox is the store of this table; see [parley.FailureTx].
func (f *Failures) SharesTx(inbox parley.InboxStore[Tx]) bool {
	s, ok := inbox.(*Store)
	return ok && s == f.store
}

func (s *Store) failureDialect() sqlstore.FailureDialect {
	return sqlstore.FailureDialect{
		Package: "sqlite",
		Table:   s.cfg.FailedTable,
		Now:     "(" + now + ")",
		Micros:  func(expr string) string { return expr },
		In:      inFuture,
		KeepIn:  func(n string) string { return "(" + now + " + (" + n + "))" },
		Time:    func(t time.Time) any { return t.UnixMicro() },
		Exact:   exact,
		Index: func(name string) string {
			if name == "" {
				return ""
			}
			return " INDEXED BY parley_failed_" + name
		},
		Part:   func(query string) string { return "SELECT * FROM (" + query + ")" },
		Update: "UPDATE parley_failed SET ",
		Delete: deleteByID,
		Insert: insertFailure,
		// One index lookup for each consumer: SQLite's DISTINCT would read the whole index.
		Consumers: "WITH RECURSIVE c (name) AS (SELECT min(consumer) FROM parley_failed INDEXED BY parley_failed_state" +
			" UNION ALL SELECT (SELECT min(f.consumer) FROM parley_failed AS f INDEXED BY parley_failed_state WHERE f.consumer > c.name) FROM c WHERE c.name IS NOT NULL)" +
			" SELECT name FROM c WHERE name IS NOT NULL",
		Check: []string{
			"SELECT id, in_line, parked_at FROM parley_failed WHERE id = 0",
			"SELECT id, envelope, body FROM parley_failed_body WHERE id = 0",
		},
		Transient: transient,
		Conflict:  isBadConn, // beginKeep waits for a lock, once
		Refused:   refused,
		Missing:   missing,
	}
}

// insertFailure counts a repeat in the existing row.
func insertFailure(ctx context.Context, tx sqlstore.Tx, query string, args []any) (id int64, repeat bool, err error) {
	err = tx.QueryRowContext(ctx, query+" ON CONFLICT (repeat_of) WHERE repeat_of IS NOT NULL DO UPDATE SET repeats = repeats + 1 RETURNING id, repeats > 0", args...).
		Scan(&id, &repeat)
	return id, repeat, err
}

func isBadConn(err error) bool { return errors.Is(err, sqldriver.ErrBadConn) }

// refused reports errors that the data itself causes: the same statement fails on every attempt.
func refused(err error) bool {
	switch code(err) {
	case lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH,
		lib.SQLITE_CONSTRAINT_CHECK, lib.SQLITE_CONSTRAINT_NOTNULL, lib.SQLITE_CONSTRAINT_DATATYPE:
		return true
	}
	return false
}

const (
	lockWait = time.Second // of Keep
	// restoreLimit limits how long restoring the settings of a connection may take.
	restoreLimit = 5 * time.Second
)

// beginKeep begins the transaction of Keep on a connection of its own, whose settings it restores afterwards.
func (s *Store) beginKeep(ctx context.Context) (Tx, func(error), error) {
	wait, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if err := s.turn.take(wait, true); err != nil {
		return nil, nil, fmt.Errorf("wait for the write lock: %w", err)
	}
	end := func() {
		s.turn.pass()
		s.ended.signal()
	}
	conn, err := s.db.Conn(wait)
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	restore, err := prepareKeep(ctx, conn)
	done := func() {
		restore()
		end()
	}
	var tx *sql.Tx
	if err == nil {
		tx, err = conn.BeginTx(ctx, nil)
	}
	if err == nil && !s.owned {
		if err = lockTable(ctx, tx, s.table); err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return tx, func(error) { done() }, nil
}

// prepareKeep makes commits on conn durable and its waits short. restore undoes that and closes conn.
func prepareKeep(ctx context.Context, conn *sql.Conn) (restore func(), err error) {
	var synchronous, busy int64
	err = errors.Join(
		conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous),
		conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&busy))
	if err != nil {
		return func() { _ = conn.Close() }, fmt.Errorf("read settings of the connection: %w", err)
	}
	const full = 2
	_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA synchronous=%d; PRAGMA busy_timeout=%d", max(synchronous, full), lockWait.Milliseconds()))
	restore = func() {
		ctx, cancel := context.WithTimeout(context.Background(), restoreLimit)
		defer cancel()
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA synchronous=%d; PRAGMA busy_timeout=%d", synchronous, busy)); err != nil {
			_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn }) // discarded
		}
		_ = conn.Close()
	}
	return restore, err
}

// Check reports what is missing; see [parley.FailureStore]. It takes the write lock for a moment, to check that
// it can, but writes nothing.
func (f *Failures) Check(ctx context.Context) error {
	if err := f.failures.Check(ctx); err != nil {
		return err
	}
	return fail("check "+f.store.cfg.FailedTable, f.checkWritable(ctx))
}

func (f *Failures) checkWritable(ctx context.Context) error {
	var queryOnly bool
	if err := f.store.db.QueryRowContext(ctx, "PRAGMA query_only").Scan(&queryOnly); err != nil {
		return err
	}
	if queryOnly {
		return fmt.Errorf("%w: the connection is read-only (remove query_only from its settings)", parley.ErrFailuresNotReady)
	}
	tx, done, err := f.store.beginKeep(ctx)
	if transient(err) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // another connection is writing
	}
	if err != nil {
		return fmt.Errorf("take the write lock (this user needs write access to the file %s and its folder): %w", f.store.file, err)
	}
	defer done(nil)
	return tx.Rollback()
}

// Warnings returns settings of the database with which failed deliveries may be lost. The store works in spite of them.
func (f *Failures) Warnings(ctx context.Context) ([]string, error) {
	var mode string
	err := sqlstore.Retry(ctx, transient, func() error {
		return f.store.db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	})
	if err != nil {
		return nil, fail("read journal_mode", err)
	}
	if mode == "off" || mode == "memory" {
		return []string{fmt.Sprintf("journal_mode is %s: a crash during a write can destroy the database (set it to WAL)", mode)}, nil
	}
	return nil, nil
}
