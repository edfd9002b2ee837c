// Package sqlstore is the database/sql engine behind packages sqlite and mysql: one
// set of statements with ? placeholders, and a Dialect for what differs.
//
// Its tables are parley_outbox, parley_outbox_tags (one row for each tag of a scheduled
// record, found by a digest), parley_parked and parley_inbox. How a relay holds records is
// each database's own business: rows that are locked on MySQL, a lease on SQLite.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Tx is a transaction: *sql.Tx and what wraps it. A *sql.DB does not fit.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

// A Dialect is what the databases differ in. All fields are required; texts may be empty
// where the comment says so.
type Dialect struct {
	// Package is the name that errors begin with.
	Package string
	// Now is the time as the columns keep it, by the database's clock, in UTC.
	Now string
	// Micros turns a time as the columns keep it into microseconds since 1970.
	Micros func(expr string) string
	// Time is the parameter that stands for t.
	Time func(t time.Time) any
	// ByDue names the outbox, as o, read through the index of its due times.
	ByDue string
	// Join keeps the order of two tables: the first one leads.
	Join string
	// Lock ends a SELECT of rows that are to be changed. May be empty.
	Lock string
	// Held is a condition: a relay holds the record whose id is given, and no row lock says
	// so. "0" where row locks do.
	Held func(id string) string
	// Update begins an UPDATE of outbox rows by id, up to SET.
	Update string
	// Delete is a DELETE of the outbox rows with the ids of a list "(1,2)".
	Delete func(list string) string
	// Sweep deletes identities older than ? microseconds, at most ? of them.
	Sweep string
	// Probe counts rows of each tag first, where the planner cannot tell which is rare.
	Probe bool

	// Transient tells errors after which our own transaction is tried again.
	Transient func(err error) bool
	// Duplicate tells the error of a key that exists.
	Duplicate func(err error) bool
	// Seen is the statement that records an identity.
	Seen func(consumer, identity string) (query string, args []any)
	// Insert runs an INSERT of len(ids) records and returns their ids.
	Insert func(ctx context.Context, tx Tx, query string, args []any, ids []int64) error
	// BeforeChange is called before rows are looked for that are to be changed.
	BeforeChange func(ctx context.Context, tx Tx) error
	// BeforeUnless makes callers with the same digest wait for each other, to the end of tx.
	BeforeUnless func(ctx context.Context, tx Tx, digest []byte) error
	// DropTags forgets the tags of records that are gone.
	DropTags func(ctx context.Context, tx Tx, ids []int64) error
}

// Engine implements the store interfaces of parley but the claim. T is the driver
// package's own interface of a transaction. What those packages need beside is functions,
// so that their stores, which embed an Engine, have no methods that users should not call.
type Engine[T Tx] struct {
	dialect Dialect
	db      *sql.DB
	begin   Begin[T]
}

// Begin starts a transaction that may write. done is to be called after its end.
type Begin[T Tx] func(ctx context.Context) (tx T, done func(), err error)

// New returns an engine on db.
func New[T Tx](d Dialect, db *sql.DB, begin Begin[T]) Engine[T] {
	return Engine[T]{d, db, begin}
}

// Own runs fn in a transaction of our own. It is run again, from the beginning, after an
// error that is the database's way to say "later", until ctx ends.
func Own[T Tx](ctx context.Context, e *Engine[T], fn func(tx T) error) error {
	return Retry(ctx, e.dialect.Transient, func() error {
		tx, done, err := e.begin(ctx)
		if err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		defer done()
		if err := fn(tx); err != nil {
			return errors.Join(err, rollback(tx))
		}
		return commit(tx)
	})
}

// Fail names the package and what was done, once, at an exported call.
func Fail(pkg, doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", pkg, doing, err)
}

func (e *Engine[T]) fail(doing string, err error) error { return Fail(e.dialect.Package, doing, err) }

func commit(tx Tx) error {
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback ends a transaction. One that the server has ended already is no error.
func rollback(tx Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// queryer is a Tx, a *sql.DB or a *sql.Conn.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Each runs a query and calls scan for each row, until it is done or scan fails.
func Each(ctx context.Context, q queryer, query string, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Exec runs a statement and returns how many rows it changed.
func Exec(ctx context.Context, tx Tx, query string, args ...any) (int, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// chunk bounds the ids in one statement.
const chunk = 2000

// Chunks calls fn with the ids as a list for IN, some at a time. They are numbers: no
// parameter is needed, and no driver prepares a statement for each length.
func Chunks(ids []int64, fn func(list string) error) error {
	for len(ids) > 0 {
		n := min(len(ids), chunk)
		if err := fn(list(ids[:n])); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func list(ids []int64) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	b.WriteByte(')')
	return b.String()
}

// Placeholders returns n question marks, and the values as parameters.
func Placeholders(values []string) (marks string, args []any) {
	for _, v := range values {
		args = append(args, v)
	}
	return strings.TrimSuffix(strings.Repeat("?,", len(values)), ","), args
}
