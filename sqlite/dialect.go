package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/parley-go/parley/internal/sqlstore"
)

// now is the database's clock in microseconds. SQLite's has milliseconds; unixepoch gives
// them as a float, so they are rounded before they become whole.
const now = "CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000"

// byDue is an error, not a slow query, should the index ever not serve.
const byDue = "parley_outbox AS o INDEXED BY parley_outbox_due"

func dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Package: "sqlite",
		Now:     "(" + now + ")",
		Micros:  func(expr string) string { return expr },
		Time:    func(t time.Time) any { return t.UnixMicro() },
		ByDue:   byDue,
		Join:    "CROSS JOIN", // SQLite's way to say that the first table leads
		Held:    held,
		Update:  "UPDATE parley_outbox SET ",
		Delete:  func(list string) string { return "DELETE FROM parley_outbox WHERE id IN " + list },
		Sweep: "DELETE FROM parley_inbox WHERE (consumer, identity) IN (SELECT consumer, identity FROM parley_inbox" +
			" WHERE seen_at < " + now + " - ? ORDER BY seen_at LIMIT ?)",
		Probe:     true,
		Transient: transient,
		Duplicate: duplicate,
		Seen: func(consumer, identity string) (string, []any) {
			return "INSERT INTO parley_inbox (consumer, identity, seen_at) VALUES (?, ?, " + now + ")", []any{consumer, identity}
		},
		Insert:       insert,
		BeforeChange: takeWriteLock,
		// The write lock, which BeforeChange takes, keeps callers apart.
		BeforeUnless: func(context.Context, sqlstore.Tx, []byte) error { return nil },
		// A trigger does it.
		DropTags: func(context.Context, sqlstore.Tx, []int64) error { return nil },
	}
}

func held(id string) string {
	return "EXISTS (SELECT 1 FROM parley_held h WHERE h.record_id = " + id + " AND h.until > " + now + ")"
}

// insert relies on RETURNING giving the rows in the order of VALUES, as SQLite does for
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

// transient tells that another connection is in the way for now.
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
