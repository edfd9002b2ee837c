package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley/internal/sqlstore"
)

const now = "UTC_TIMESTAMP(6)" // NOW() depends on the session's time zone

// timeLayout is a DATETIME(6) as text.
const timeLayout = "2006-01-02 15:04:05.000000"

func micros(expr string) string {
	return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', " + expr + ")"
}

// byDue forces the index: for a small table the planner would prefer to read all of it, and
// wait for locked rows.
const byDue = "parley_outbox AS o FORCE INDEX (parley_outbox_due)"

// skipLocked skips rows that other transactions have locked: a relay never waits for them.
const skipLocked = " FOR UPDATE SKIP LOCKED"

func (s *Store) dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Package:      "mysql",
		Now:          now,
		Micros:       micros,
		In:           inFuture,
		Time:         func(t time.Time) any { return t.UTC().Format(timeLayout) },
		ByDue:        byDue,
		ByID:         "parley_outbox AS o FORCE INDEX (PRIMARY)",
		Join:         "JOIN",
		Lock:         " FOR UPDATE",
		LockFree:     skipLocked,
		Held:         func(string) string { return "0" },
		Update:       "UPDATE parley_outbox FORCE INDEX (PRIMARY) SET ",
		Delete:       deleteByID,
		Exact:        exact,
		Sweep:        s.sweep,
		Transient:    transient,
		Missing:      isMissing,
		Duplicate:    func(err error) bool { return number(err) == 1062 },
		Seen:         seen,
		Mark:         mark,
		Unbroken:     unbroken,
		Insert:       s.insert,
		BeforeChange: func(context.Context, sqlstore.Tx) error { return nil },
		BeforeUnless: lockTags,
		DropTags:     dropTags,
	}
}

func inFuture(n string) string { return "(" + now + " + INTERVAL (" + n + ") MICROSECOND)" }

// isMissing reports a missing table or column.
func isMissing(err error) bool { return number(err) == 1146 || number(err) == 1054 }

func number(err error) uint16 {
	if e, ok := errors.AsType[*driver.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// transient reports errors that are solved by repeating the whole transaction: a lock wait
// timeout (which rolls back the statement only), a deadlock, and MariaDB's "record has
// changed since last read".
func transient(err error) bool {
	switch number(err) {
	case 1205, 1213, 1020:
		return true
	}
	return false
}

func seen(consumer, identity string) (string, []any) {
	return "INSERT INTO parley_inbox (digest, consumer, identity, seen_at) VALUES (?, ?, ?, " + now + ")", []any{inboxDigest(consumer, identity), consumer, identity}
}

func inboxDigest(consumer, identity string) []byte {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(consumer)))
	h.Write(n[:])
	h.Write([]byte(consumer))
	h.Write([]byte(identity))
	return h.Sum(nil)
}

// lockTags makes callers with the same tags wait for each other until the end of tx. It uses a row
// lock, because GET_LOCK belongs to the session and would outlive the transaction.
func lockTags(ctx context.Context, tx sqlstore.Tx, digest []byte) error {
	var id int
	err := tx.QueryRowContext(ctx, "SELECT id FROM parley_locks WHERE id = ? FOR UPDATE", 1+int(digest[0])).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoLockRow
	}
	return err
}

var errNoLockRow = errors.New("rows are missing in table parley_locks (Migrate inserts them into an empty version table)")

// tagKeys limits the keys in one statement.
const tagKeys = 500

// dropTags deletes the tags of deleted records, except those that another transaction
// has locked. It never waits, because that transaction may wait for this one. That transaction then finds the
// records deleted, and deletes the tags that it has locked.
func dropTags(ctx context.Context, tx sqlstore.Tx, ids []int64) error {
	var keys []string
	err := sqlstore.Chunks(ids, func(list string) error {
		q := "SELECT digest, record_id FROM parley_outbox_tags FORCE INDEX (parley_outbox_tags_record) WHERE record_id IN " + list + " FOR UPDATE SKIP LOCKED"
		return sqlstore.Each(ctx, tx, q, nil, func(rows *sql.Rows) error {
			var digest []byte
			var id int64
			err := rows.Scan(&digest, &id)
			keys = append(keys, fmt.Sprintf(`["%x",%d]`, digest, id))
			return err
		})
	})
	for err == nil && len(keys) > 0 {
		n := min(len(keys), tagKeys)
		_, err = tx.ExecContext(ctx, deleteListed("parley_outbox_tags", "["+strings.Join(keys[:n], ",")+"]",
			"digest VARCHAR(32) PATH '$[0]', id BIGINT PATH '$[1]'", "f.digest = UNHEX(i.digest) AND f.record_id = i.id"))
		keys = keys[n:]
	}
	if err != nil {
		return fmt.Errorf("delete tags: %w", err)
	}
	return nil
}

// deleteByID returns a DELETE of the rows with the ids of a list.
func deleteByID(table, list string) string {
	ids := strings.Trim(list, "()")
	if !strings.Contains(ids, ",") {
		return "DELETE f FROM " + table + " AS f FORCE INDEX (PRIMARY) WHERE f.id = " + ids
	}
	return deleteListed(table, "["+ids+"]", "id BIGINT PATH '$'", "f.id = i.id")
}

// deleteListed joins a list of keys, as JSON, with a table, in this order, so that it reads no other row. The planner may
// prefer to read a small table as a whole, even if an index is forced, and such a DELETE waits for every row that
// another transaction has locked. Because the list itself is read as a whole, both servers refuse the statement if
// sql_safe_updates is on. So it is off for this statement; each server has its own syntax for that, which the other one
// ignores as a comment.
func deleteListed(table, keys, columns, on string) string {
	return safeDelete + " f FROM JSON_TABLE('" + keys + "', '$[*]' COLUMNS (" + columns + ")) AS i" +
		" STRAIGHT_JOIN " + table + " AS f FORCE INDEX (PRIMARY) ON " + on
}

const safeDelete = "/*M! SET STATEMENT sql_safe_updates = 0 FOR */ DELETE /*+ SET_VAR(sql_safe_updates = 0) */"

// exact compares a text byte by byte: utf8mb4_bin ignores trailing spaces, and Django's tables may have a collation
// that ignores case.
func exact(column string) string { return "CAST(" + column + " AS BINARY)" }

// sweep deletes old identities, except those of failed deliveries, which may be replayed much later. Without the table of
// failed deliveries, or the privilege to read it, there is no such delivery.
func (s *Store) sweep(ctx context.Context, tx sqlstore.Tx, consumer string, age time.Duration, limit, room int) (seen, deleted int, err error) {
	old, kept, err := oldIdentities(ctx, tx, consumer, age, limit, sqlstore.FailureNames(s.cfg.FailedTable).Replace(
		"EXISTS (SELECT 1 FROM parley_failed AS f FORCE INDEX (parley_failed_identity) WHERE f.identity_digest = UNHEX(SHA2("+boundedIdentity+", 256)))"))
	if n := number(err); n == 1146 || n == 1142 {
		old, kept, err = oldIdentities(ctx, tx, consumer, age, limit, "0")
	}
	seen = len(old) + len(kept)
	for some := range slices.Chunk(old[:min(len(old), room)], tagKeys) {
		if err != nil {
			break
		}
		var n int
		n, err = sqlstore.Exec(ctx, tx, deleteListed("parley_inbox", `["`+strings.Join(some, `","`)+`"]`, "digest VARCHAR(64) PATH '$'", "f.digest = UNHEX(i.digest)"))
		deleted += n
	}
	for some := range slices.Chunk(kept, tagKeys) {
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE parley_inbox FORCE INDEX (PRIMARY) SET seen_at = "+now+" WHERE digest IN (x'"+strings.Join(some, "',x'")+"')")
		}
	}
	return seen, deleted, err
}

// boundedIdentity is an identity in the form of failed deliveries: a digest if it is long.
const boundedIdentity = "IF(LENGTH(i.identity) > 1000, CONCAT('sha256:', SHA2(i.identity, 256)), i.identity)"

// oldIdentities locks the digests of a consumer's old identities; it returns those that must be kept separately. It leaves identities
// that another transaction has locked to the next sweep. ORDER BY would sort them: the index has only the beginning of the consumer's
// name, which is a LONGTEXT.
func oldIdentities(ctx context.Context, tx sqlstore.Tx, consumer string, age time.Duration, limit int, keep string) (old, kept []string, err error) {
	q := "SELECT i.digest, " + keep + " FROM parley_inbox AS i FORCE INDEX (parley_inbox_consumer) WHERE i.consumer = ? AND " + exact("i.consumer") + " = ? AND i.seen_at < " + now +
		" - INTERVAL ? MICROSECOND LIMIT ? FOR UPDATE SKIP LOCKED"
	err = sqlstore.Each(ctx, tx, q, []any{consumer, consumer, age.Microseconds(), limit}, func(rows *sql.Rows) error {
		var digest []byte
		var keep bool
		err := rows.Scan(&digest, &keep)
		if text := fmt.Sprintf("%x", digest); keep {
			kept = append(kept, text)
		} else {
			old = append(old, text)
		}
		return err
	})
	return old, kept, err
}
