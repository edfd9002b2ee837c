package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
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

// byDue forces the index: for a small table the planner would rather read all of it, and
// wait for what others hold.
const byDue = "parley_outbox AS o FORCE INDEX (parley_outbox_due)"

func (s *Store) dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Package: "mysql",
		Now:     now,
		Micros:  micros,
		Time:    func(t time.Time) any { return t.UTC().Format(timeLayout) },
		ByDue:   byDue,
		Join:    "JOIN",
		Lock:    " FOR UPDATE",
		Held:    func(string) string { return "0" },
		Update:  "UPDATE parley_outbox FORCE INDEX (PRIMARY) SET ",
		Delete:  deleteByID,
		Sweep: "DELETE x FROM (SELECT digest FROM parley_inbox FORCE INDEX (parley_inbox_seen) WHERE seen_at < " + now +
			" - INTERVAL ? MICROSECOND ORDER BY seen_at LIMIT ?) AS i STRAIGHT_JOIN parley_inbox AS x FORCE INDEX (PRIMARY) ON x.digest = i.digest",
		Transient:    transient,
		Duplicate:    func(err error) bool { return number(err) == 1062 },
		Seen:         seen,
		Insert:       s.insert,
		BeforeChange: func(context.Context, sqlstore.Tx) error { return nil },
		BeforeUnless: lockTags,
		DropTags:     dropTags,
	}
}

func number(err error) uint16 {
	if e, ok := errors.AsType[*driver.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// transient tells errors that a repetition of the whole transaction mends: a lock wait
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
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(consumer)))
	h.Write(n[:])
	h.Write([]byte(consumer))
	h.Write([]byte(identity))
	return "INSERT INTO parley_inbox (digest, consumer, identity, seen_at) VALUES (?, ?, ?, " + now + ")", []any{h.Sum(nil), consumer, identity}
}

// lockTags makes callers with the same tags wait for each other, to the end of tx. A row
// lock is used, as GET_LOCK belongs to the session: it would outlive the transaction.
func lockTags(ctx context.Context, tx sqlstore.Tx, digest []byte) error {
	var id int
	err := tx.QueryRowContext(ctx, "SELECT id FROM parley_locks WHERE id = ? FOR UPDATE", 1+int(digest[0])).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoLockRow
	}
	return err
}

var errNoLockRow = errors.New("the table parley_locks has lost rows: they are made by Migrate, on an empty version table")

// tagKeys bounds the keys in one statement.
const tagKeys = 500

// dropTags deletes the tags of records that are gone, but those that another transaction
// has locked. It never waits: that one may wait for us. It sees then that the records are
// gone, and deletes the tags that it has locked itself.
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
		_, err = tx.ExecContext(ctx, "DELETE t FROM JSON_TABLE('["+strings.Join(keys[:n], ",")+
			"]', '$[*]' COLUMNS (digest VARCHAR(32) PATH '$[0]', id BIGINT PATH '$[1]')) AS i"+
			" STRAIGHT_JOIN parley_outbox_tags AS t FORCE INDEX (PRIMARY) ON t.digest = UNHEX(i.digest) AND t.record_id = i.id")
		keys = keys[n:]
	}
	if err != nil {
		return fmt.Errorf("delete tags: %w", err)
	}
	return nil
}

// deleteByID joins a list of ids with the table, in this order, so that no other row is
// ever looked at: a DELETE that reads a small table as a whole, as the planner likes to,
// waits for every row that somebody else holds.
func deleteByID(list string) string {
	ids := "[" + strings.Trim(list, "()") + "]"
	return "DELETE o FROM JSON_TABLE('" + ids + "', '$[*]' COLUMNS (id BIGINT PATH '$')) AS i" +
		" STRAIGHT_JOIN parley_outbox AS o FORCE INDEX (PRIMARY) ON o.id = i.id"
}
