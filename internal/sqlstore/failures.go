package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// FailedTable is the default name of the table of failed deliveries. Statements and migrations
// use it; [FailureNames] replaces it by another name.
const FailedTable = "parley_failed"

// A FailureDialect holds the differences between databases for the table of failed deliveries.
// Statements name the table parley_failed, whatever its name is.
type FailureDialect struct {
	// Package is the prefix of errors.
	Package string
	// Table is the table's name.
	Table string
	// Now is the time in the format of the columns, by the database's clock, in UTC.
	Now string
	// Micros converts a time in the format of the columns into microseconds since 1970.
	Micros func(expr string) string
	// In returns the time a number of microseconds from now.
	In func(micros string) string
	// KeepIn returns the time a number of microseconds after the start of the transaction of Keep. So failures that are kept
	// together become due in the order of their delays, however long the insertions take.
	KeepIn func(micros string) string
	// Time returns the parameter for t.
	Time func(t time.Time) any
	// Digests means that keys and identities are found by their digests, not as texts.
	Digests bool
	// Exact makes a text column comparable byte by byte.
	Exact func(column string) string
	// Index makes a query read a table through one of its indexes: "due", "state", …, "" for the primary key.
	Index func(name string) string
	// Part makes a SELECT with a LIMIT one of the parts of a UNION ALL.
	Part func(query string) string
	// Free ends a SELECT that locks rows and leaves out those that others have locked. May be empty.
	Free string
	// Lock ends a SELECT that locks rows. May be empty.
	Lock string
	// Update begins an UPDATE of rows of the table by id, up to SET.
	Update string
	// Delete returns a DELETE of the rows of a table with the ids of a list "(1,2)", to which conditions may be added.
	Delete func(table, list string) string
	// Insert runs an INSERT of one row. If RepeatOf exists in the table, it counts a repeat.
	Insert func(ctx context.Context, tx Tx, query string, args []any) (id int64, repeat bool, err error)
	// Fits returns an error if a statement with these parameters is too large to be sent. It may be nil.
	Fits func(parameters ...[]byte) error
	// Consumers lists the names of all consumers.
	Consumers string
	// Check lists statements that can be planned only if the table exists and the account may run them.
	Check []string
	// Transient reports errors after which the store's own transaction is retried.
	Transient func(err error) bool
	// Conflict reports the errors after which Keep is retried: those that do not require waiting for a lock.
	Conflict func(err error) bool
	// Refused reports errors that the data itself causes.
	Refused func(err error) bool
	// Missing reports the error for a missing table or column.
	Missing func(err error) bool
}

// Failures implements the failure store of parley. T is the driver package's own transaction interface.
type Failures[T Tx] struct {
	d      FailureDialect
	db     *sql.DB
	names  *strings.Replacer
	engine Engine[T] // for transactions and the action log only
	keep   Begin[T]
}

// NewFailures returns an engine. keep begins the transaction of Keep: as durable as the database supports,
// with a lock timeout of 1s.
func NewFailures[T Tx](d FailureDialect, db *sql.DB, begin, keep Begin[T]) *Failures[T] {
	return &Failures[T]{
		d: d, db: db, names: FailureNames(d.Table), keep: keep,
		engine: New(Dialect{Package: d.Package, Transient: d.Transient, Now: d.Now, Micros: d.Micros, In: d.In}, db, begin),
	}
}

// FailureNames returns a replacer that inserts the name of another table, and of its indexes, into a statement.
func FailureNames(table string) *strings.Replacer { return strings.NewReplacer(FailedTable, table) }

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,39}$`)

// CheckFailedTable returns an error if name cannot be the table of failed deliveries.
func CheckFailedTable(name string) error {
	switch {
	case !plainName.MatchString(name):
		return fmt.Errorf("FailedTable %q must be a plain identifier: a letter or _, then letters, digits and _, at most 40", name)
	case name == FailedTable:
		return nil
	case strings.HasPrefix(name, "parley_") && !strings.HasPrefix(name, FailedTable+"_"), name == FailedTable+"_body", name == DjangoTable:
		return fmt.Errorf("FailedTable %q is the name of another table of parley (use a name that does not begin with parley_)", name)
	}
	return nil
}

// sql returns a statement with the table's own name.
func (f *Failures[T]) sql(query string) string { return f.names.Replace(query) }

func (f *Failures[T]) fail(doing string, err error) error {
	if err != nil && f.d.Refused(err) && !errors.Is(err, parley.ErrRefused) {
		err = fmt.Errorf("%w: %w", parley.ErrRefused, err)
	}
	return Fail(f.d.Package, doing, err)
}

// own runs fn in a transaction of the store itself, and retries it after transient errors.
func (f *Failures[T]) own(ctx context.Context, fn func(tx T) error) error {
	return Own(ctx, &f.engine, fn)
}

// each runs a query outside a transaction, and retries it after transient errors. reset discards the rows read before.
func (f *Failures[T]) each(ctx context.Context, query string, args []any, reset func(), scan func(rows *sql.Rows) error) error {
	return Retry(ctx, f.d.Transient, func() error {
		reset()
		return Each(ctx, f.db, f.sql(query), args, scan)
	})
}

func (f *Failures[T]) exec(ctx context.Context, tx Tx, query string, args ...any) (int, error) {
	return Exec(ctx, tx, f.sql(query), args...)
}

// table returns the table, named f, read through an index.
func (f *Failures[T]) table(index string) string { return "parley_failed AS f" + f.d.Index(index) }

// micros returns a duration as a number of microseconds.
func micros(d time.Duration) string { return fmt.Sprint(d.Microseconds()) }

// keyIs returns the condition for the rows of a key, and key its parameters.
func (f *Failures[T]) keyIs() string {
	if f.d.Digests {
		return "f.key_digest = ?"
	}
	return "f.consumer = ? AND f.ordering_key = ? AND f.ordering_key <> ''"
}

func (f *Failures[T]) key(consumer, key string) []any {
	if f.d.Digests {
		return []any{keyDigest(consumer, key)}
	}
	return []any{consumer, key}
}

// keyPrefix returns the bytes before the key in the input of keyDigest.
func keyPrefix(consumer string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(consumer))), consumer...)
}

func keyDigest(consumer, key string) []byte {
	sum := sha256.Sum256(append(keyPrefix(consumer), key...))
	return sum[:]
}

// Check reports what is missing; see [parley.FailureStore]. It requests the plans of statements, which a
// database makes only for accounts that may run them.
func (f *Failures[T]) Check(ctx context.Context) error {
	for _, q := range f.d.Check {
		err := f.each(ctx, "EXPLAIN "+q, nil, func() {}, func(*sql.Rows) error { return nil })
		if err != nil && f.d.Missing(err) {
			err = fmt.Errorf("%w: table %s is missing or older than this version (run \"parley migrate up\"): %w", parley.ErrFailuresNotReady, f.d.Table, err)
		}
		if err != nil {
			return f.fail("check "+f.d.Table, err)
		}
	}
	return nil
}
