package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/parley-go/parley/internal/sqlstore"
)

// now is the database's clock in microseconds. SQLite's clock has milliseconds; unixepoch returns
// them as a float, so they are rounded to whole numbers.
const now = "CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000"

// byDue makes SQLite return an error instead of running a slow query if it cannot use the index.
const byDue = "parley_outbox AS o INDEXED BY parley_outbox_due"

func (s *Store) dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Package:   "sqlite",
		Now:       "(" + now + ")",
		Micros:    func(expr string) string { return expr },
		In:        inFuture,
		Time:      func(t time.Time) any { return t.UnixMicro() },
		ByDue:     byDue,
		ByID:      "parley_outbox AS o",
		Join:      "CROSS JOIN", // in SQLite it keeps the order of the tables
		Held:      held,
		Update:    "UPDATE parley_outbox SET ",
		Exact:     exact,
		Delete:    deleteByID,
		Sweep:     s.sweep,
		Probe:     true,
		Transient: transient,
		Missing:   missing,
		Duplicate: duplicate,
		Seen: func(consumer, identity string) (string, []any) {
			return "INSERT INTO parley_inbox (consumer, identity, seen_at) VALUES (?, ?, " + now + ")", []any{consumer, identity}
		},
		Insert:       insert,
		BeforeChange: takeWriteLock,
		// BeforeChange takes the write lock, which serializes callers.
		BeforeUnless: func(context.Context, sqlstore.Tx, []byte) error { return nil },
		// A trigger deletes them.
		DropTags: func(context.Context, sqlstore.Tx, []int64) error { return nil },
	}
}

func inFuture(n string) string { return "(" + now + " + (" + n + "))" }

func held(id string) string {
	return "EXISTS (SELECT 1 FROM parley_held h WHERE h.record_id = " + id + " AND " + lasting + ")"
}

// lasting is the condition for a valid lease, in both tables: it has not expired, and was not written while the clock was
// ahead. Otherwise a lease that ends later than twice its length from now would be valid until then.
const lasting = "until > " + now + " AND (length = 0 OR until <= " + now + " + 2 * length)"

// exact does nothing: SQLite compares texts byte by byte.
func exact(column string) string { return column }

func deleteByID(table, list string) string { return "DELETE FROM " + table + " WHERE id IN " + list }

// sweep deletes old identities, except those of failed deliveries, which may be replayed much later.
func (s *Store) sweep(ctx context.Context, tx sqlstore.Tx, consumer string, age time.Duration, limit, room int) (seen, deleted int, err error) {
	const keep = "EXISTS (SELECT 1 FROM parley_failed AS f INDEXED BY parley_failed_identity WHERE f.identity = i.identity AND f.identity <> '')" +
		// A failed delivery has only a digest of a long identity, which SQLite cannot compute: while there is one, all long ones are kept.
		" OR length(CAST(i.identity AS BLOB)) > 1000 AND EXISTS (SELECT 1 FROM parley_failed AS f INDEXED BY parley_failed_identity" +
		" WHERE f.identity >= 'sha256:' AND f.identity < 'sha256;' AND f.identity <> '')"
	old, kept, err := oldIdentities(ctx, tx, consumer, age, limit, sqlstore.FailureNames(s.cfg.FailedTable).Replace(keep))
	if missing(err) { // the migrations that create the table have not run
		old, kept, err = oldIdentities(ctx, tx, consumer, age, limit, "0")
	}
	seen = len(old) + len(kept)
	for _, row := range old[:min(len(old), room)] {
		if err == nil {
			var n int
			n, err = sqlstore.Exec(ctx, tx, "DELETE FROM parley_inbox WHERE consumer = ? AND identity = ?", row[:]...)
			deleted += n
		}
	}
	for _, row := range kept {
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE parley_inbox SET seen_at = "+now+" WHERE consumer = ? AND identity = ?", row[:]...)
		}
	}
	return seen, deleted, err
}

// oldIdentities returns a consumer's old rows; those that must be kept are separate.
func oldIdentities(ctx context.Context, tx sqlstore.Tx, consumer string, age time.Duration, limit int, keep string) (old, kept [][2]any, err error) {
	q := "SELECT i.consumer, i.identity, " + keep + " FROM parley_inbox AS i INDEXED BY parley_inbox_consumer WHERE i.consumer = ? AND i.seen_at < " + now +
		" - ? ORDER BY i.seen_at LIMIT ?"
	err = sqlstore.Each(ctx, tx, q, []any{consumer, age.Microseconds(), limit}, func(rows *sql.Rows) error {
		var consumer, identity string
		var keep bool
		err := rows.Scan(&consumer, &identity, &keep)
		if row := [2]any{consumer, identity}; keep {
			kept = append(kept, row)
		} else {
			old = append(old, row)
		}
		return err
	})
	return old, kept, err
}

// missing reports whether a table, column or index is missing: SQLite has no error code for it.
func missing(err error) bool {
	if code(err) != lib.SQLITE_ERROR {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "no such table") || strings.Contains(text, "no such column") || strings.Contains(text, "no such index")
}

// insert relies on RETURNING returning the rows in the order of VALUES, as SQLite does for
// a table without triggers on insertion.
func insert(ctx context.Context, tx sqlstore.Tx, query string, args []any, ids []int64) error {
	i := 0
	return sqlstore.Each(ctx, tx, query+" RETURNING id", args, func(rows *sql.Rows) error {
		i++
		return rows.Scan(&ids[i-1])
	})
}

func code(err error) int {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return lib.SQLITE_OK
	}
	return e.Code()
}

// transient reports whether another connection currently holds a lock.
func transient(err error) bool {
	switch code(err) & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return true
	}
	return false
}

func duplicate(err error) bool {
	c := code(err)
	return c == lib.SQLITE_CONSTRAINT_PRIMARYKEY || c == lib.SQLITE_CONSTRAINT_UNIQUE
}
