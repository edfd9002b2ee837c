// Package sqlstore is the database/sql engine of the packages sqlite and mysql: one
// set of statements with ? placeholders, and a Dialect for the differences.
//
// Its tables are parley_outbox, parley_outbox_tags (one row for each tag of a scheduled
// record, found by a digest), parley_parked and parley_inbox. How a relay holds records depends
// on the database: by row locks on MySQL, by a lease on SQLite.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// A Tx is a transaction: *sql.Tx and types that wrap it. A *sql.DB does not fit.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

// A Dialect holds the differences between databases. All fields are required, unless the comment
// says that a text may be empty or a function nil.
type Dialect struct {
	// Package is the prefix of errors.
	Package string
	// Now is the time in the format of the columns, by the database's clock, in UTC.
	Now string
	// Micros converts a time in the format of the columns into microseconds since 1970.
	Micros func(expr string) string
	// In returns the time a number of microseconds from now.
	In func(micros string) string
	// Time returns the parameter for t.
	Time func(t time.Time) any
	// ByDue names the outbox, as o, read through the index of its due times.
	ByDue string
	// ByID names the outbox, as o, read through its ids.
	ByID string
	// Join is a join that keeps the order of two tables.
	Join string
	// Lock ends a SELECT of rows that will be changed. May be empty.
	Lock string
	// LockFree ends a SELECT that locks rows and skips those that another transaction has locked. May be empty.
	LockFree string
	// Held returns a condition: a relay holds the record with the given id without a row lock.
	// It is "0" for databases with row locks.
	Held func(id string) string
	// Update begins an UPDATE of outbox rows by id, up to SET.
	Update string
	// Delete returns a DELETE of the rows of a table with the ids of a list "(1,2)".
	Delete func(table, list string) string
	// Exact makes a text column of the outbox comparable byte by byte.
	Exact func(column string) string
	// Sweep checks up to limit identities of consumer that are older than age. It deletes up to room of those without a
	// failed delivery, and writes the others anew, so that the next sweep does not read past them.
	Sweep func(ctx context.Context, tx Tx, consumer string, age time.Duration, limit, room int) (seen, deleted int, err error)
	// Probe means that rows of each tag are counted first, because the planner does not know which tag is rare.
	Probe bool

	// Transient reports errors after which the store's own transaction is retried.
	Transient func(err error) bool
	// Missing reports the error for a missing table or column.
	Missing func(err error) bool
	// Duplicate reports the error for a key that exists.
	Duplicate func(err error) bool
	// Seen is the statement that records an identity.
	Seen func(consumer, identity string) (query string, args []any)
	// Mark prepares Unbroken at the beginning of a handler's transaction that records no identity. May be nil.
	Mark func(ctx context.Context, tx Tx) error
	// Unbroken returns an error if the server has ended a handler's transaction before its commit. May be nil.
	Unbroken func(ctx context.Context, tx Tx, consumer, identity string) error
	// Insert runs an INSERT of len(ids) records and returns their ids.
	Insert func(ctx context.Context, tx Tx, query string, args []any, ids []int64) error
	// BeforeChange is called before a search for rows to be changed.
	BeforeChange func(ctx context.Context, tx Tx) error
	// BeforeUnless makes callers with the same digest wait for each other until the end of tx.
	BeforeUnless func(ctx context.Context, tx Tx, digest []byte) error
	// DropTags deletes the tags of deleted records.
	DropTags func(ctx context.Context, tx Tx, ids []int64) error
}

// Engine implements the store interfaces of parley, except the claim. T is the driver
// package's own transaction interface. Other operations for those packages are functions,
// so that their stores, which embed an Engine, have no methods that users should not call.
type Engine[T Tx] struct {
	dialect Dialect
	db      *sql.DB
	begin   Begin[T]
	own     Begin[T] // for [Own]
}

// Begin starts a transaction that may write. done must be called after its end, with the error that ended it or nil.
type Begin[T Tx] func(ctx context.Context) (tx T, done func(cause error), err error)

// New returns an engine on db.
func New[T Tx](d Dialect, db *sql.DB, begin Begin[T]) Engine[T] {
	return Engine[T]{dialect: d, db: db, begin: begin, own: begin}
}

// OnItsOwn makes e use db and begin for its own work, such as a relay's. Handlers keep their transactions.
func OnItsOwn[T Tx](e *Engine[T], db *sql.DB, begin Begin[T]) { e.db, e.own = db, begin }

// Own runs fn in a transaction of the store itself. After a transient error it
// runs fn again from the beginning, until ctx ends.
func Own[T Tx](ctx context.Context, e *Engine[T], fn func(tx T) error) error {
	return Retry(ctx, e.dialect.Transient, func() error {
		tx, done, err := e.own(ctx)
		if err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		defer func() { done(err) }()
		if err = fn(tx); err != nil {
			return errors.Join(err, rollback(tx))
		}
		err = commit(tx)
		return err
	})
}

// Fail adds the package and the operation to an error, once, at an exported call.
func Fail(pkg, doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", pkg, doing, missingTables(err))
}

// missingTables makes the error for a missing table or index a parley.ErrNoTables, with the command that creates it. It knows the texts
// of SQLite and of MySQL and MariaDB, so that this package links no driver.
func missingTables(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	missing := func(part string) bool { return strings.Contains(text, part) }
	if errors.Is(err, parley.ErrNoTables) || !slices.ContainsFunc([]string{"no such table", "no such index", "Error 1146 ", "Error 1176 "}, missing) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", parley.ErrNoTables, MigrateHint(text), err)
}

// MigrateHint returns the command that creates the table that an error names.
func MigrateHint(text string) string {
	if strings.Contains(text, DjangoTable) {
		return `run "python manage.py migrate" in the Django service`
	}
	return `run "parley migrate up" or set database.migrate`
}

func (e *Engine[T]) fail(doing string, err error) error { return Fail(e.dialect.Package, doing, err) }

func commit(tx Tx) error {
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback ends a transaction. A transaction that the server has already ended is not an error.
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

// Each runs a query and calls scan for each row, until the end or an error of scan.
func Each(ctx context.Context, q queryer, query string, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return missingTables(err)
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
		return 0, missingTables(err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// chunk limits the ids in one statement. MariaDB converts lists of 1,000 values or more into a subquery, which has
// another plan (in_predicate_conversion_threshold).
const chunk = 900

// Chunks calls fn with the ids in lists for IN. They are numbers, so no
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
