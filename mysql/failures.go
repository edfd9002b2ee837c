package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	driver "github.com/go-sql-driver/mysql"

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
// Its own transactions run at READ COMMITTED, on the connections of Config.RelayDB if it is set. So claims are renewed even if
// handlers use all other connections. Keep runs in strict mode, whatever the session's sql_mode is, and
// waits for a lock for one second; then it restores the session's values.
type Failures struct {
	*failures
	store *Store
}

// Failures returns the store's table of failed deliveries.
func (s *Store) Failures() *Failures {
	f := &Failures{store: s}
	f.failures = sqlstore.NewFailures(s.failureDialect(), s.relay, s.beginOwn, s.beginKeep)
	return f
}

// SharesTx reports whether inbox is a store on the same *sql.DB; see [parley.FailureTx].
func (f *Failures) SharesTx(inbox parley.InboxStore[Tx]) bool {
	s, ok := inbox.(*Store)
	return ok && s.db == f.store.db
}

func (s *Store) failureDialect() sqlstore.FailureDialect {
	return sqlstore.FailureDialect{
		Package: "mysql",
		Table:   s.cfg.FailedTable,
		Now:     now,
		Micros:  micros,
		In:      inFuture,
		KeepIn:  func(n string) string { return "(@parley_now + INTERVAL (" + n + ") MICROSECOND)" },
		Time:    func(t time.Time) any { return t.UTC().Format(timeLayout) },
		Digests: true,
		Exact:   exact,
		Index: func(name string) string {
			if name == "" {
				return " FORCE INDEX (PRIMARY)"
			}
			return " FORCE INDEX (parley_failed_" + name + ")"
		},
		Part:      func(query string) string { return "(" + query + ")" },
		Free:      " FOR UPDATE SKIP LOCKED",
		Lock:      " FOR UPDATE",
		Update:    "UPDATE parley_failed FORCE INDEX (PRIMARY) SET ",
		Delete:    deleteByID,
		Insert:    insertFailure,
		Fits:      s.fits,
		Consumers: "SELECT DISTINCT consumer FROM parley_failed FORCE INDEX (parley_failed_state)",
		Check: []string{
			"SELECT id, in_line, parked_at FROM parley_failed WHERE id = 0",
			"INSERT INTO parley_failed (consumer, ordering_key, state, created_at, first_error, last_error, reason, exchange, routing_key, identity, size)" +
				" VALUES ('', '', 'waiting', " + now + ", '', '', '', '', '', '', 0)",
			"UPDATE parley_failed SET claim = claim WHERE id = 0",
			"DELETE FROM parley_failed WHERE id = 0",
			"SELECT id, envelope, body FROM parley_failed_body WHERE id = 0",
			"INSERT INTO parley_failed_body (id, envelope, body) VALUES (0, '', '')",
			"UPDATE parley_failed_body SET body = body WHERE id = 0",
			"DELETE FROM parley_failed_body WHERE id = 0",
		},
		Transient: transient,
		Conflict:  conflict,
		Refused:   refused,
		Missing:   isMissing,
	}
}

// insertFailure counts a repeat in the existing row. MySQL reports one row for an insertion and two for an update.
func insertFailure(ctx context.Context, tx sqlstore.Tx, query string, args []any) (id int64, repeat bool, err error) {
	res, err := tx.ExecContext(ctx, query+" ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), repeats = repeats + 1", args...)
	if err != nil {
		return 0, false, err
	}
	n, err := res.RowsAffected()
	if err == nil {
		id, err = res.LastInsertId()
	}
	return id, n > 1, err
}

// fits refuses statements that exceed the server's limit: the server would end the connection, and its error would be
// lost. The store has read the limit before.
func (s *Store) fits(parameters ...[]byte) error {
	limit := s.maxPacket.Load()
	size := int64(4096) // for the statement itself
	for _, p := range parameters {
		size += int64(len(p))
		if s.owned {
			size += escapes(p)
		}
	}
	if limit > 0 && size > limit {
		return fmt.Errorf("%w: a statement of %d bytes exceeds the server's limit (raise max_allowed_packet, which is %d)", parley.ErrRefused, size, limit)
	}
	return nil
}

// escapes counts the bytes of a parameter that are escaped to two bytes within a statement.
func escapes(p []byte) (n int64) {
	for _, c := range p {
		switch c {
		case 0, '\n', '\r', 0x1a, '\'', '"', '\\':
			n++
		}
	}
	return n
}

// conflict reports errors after which Keep is retried at once: a deadlock, a changed snapshot, and a
// connection that was dead before anything was sent. A lock timeout is not among them.
func conflict(err error) bool {
	switch number(err) {
	case 1213, 1020:
		return true
	}
	return isBadConn(err)
}

// refused reports errors that the data itself causes: the same statement fails on every attempt.
func refused(err error) bool {
	switch number(err) {
	case 1153, 1301, // larger than max_allowed_packet
		1406, 1264, 1265, // too long, out of range, truncated
		1366, 1292, 1300, // an invalid text, number or time
		1118, 3819, 4025: // row too large; a CHECK
		return true
	}
	return errors.Is(err, driver.ErrPktTooLarge)
}

// beginKeep begins the transaction of Keep on a connection of its own, whose settings it restores afterwards.
func (s *Store) beginKeep(ctx context.Context) (Tx, func(error), error) {
	conn, err := s.relay.Conn(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	_, err = conn.ExecContext(ctx, "SET @parley_now = "+now+", @parley_wait = @@SESSION.innodb_lock_wait_timeout, @parley_mode = @@SESSION.sql_mode,"+
		" SESSION innodb_lock_wait_timeout = 1, SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES')")
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("set lock wait timeout: %w", err), restoreKeep(conn))
	}
	tx, err := conn.BeginTx(ctx, readCommitted)
	if err != nil {
		return nil, nil, errors.Join(err, restoreKeep(conn))
	}
	return tx, func(cause error) {
		if isReadOnly(cause) {
			discard(conn)
		}
		_ = restoreKeep(conn) // a connection that cannot be restored is discarded
	}, nil
}

// restoreLimit limits how long restoring the settings of a connection may take.
const restoreLimit = 5 * time.Second

func restoreKeep(conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), restoreLimit)
	defer cancel()
	_, err := conn.ExecContext(ctx, "SET SESSION innodb_lock_wait_timeout = COALESCE(@parley_wait, @@SESSION.innodb_lock_wait_timeout),"+
		" SESSION sql_mode = COALESCE(@parley_mode, @@SESSION.sql_mode)")
	if err != nil {
		discard(conn)
	}
	if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// Keep writes failures; see [parley.FailureStore].
func (f *Failures) Keep(ctx context.Context, consumer string, list []parley.Failure) ([]parley.KeptFailure, error) {
	if err := f.store.checkSession(ctx); err != nil {
		return nil, fail("keep failed deliveries", err)
	}
	return f.failures.Keep(ctx, consumer, list)
}

// Check reports what is missing; see [parley.FailureStore].
func (f *Failures) Check(ctx context.Context) error {
	if err := f.store.checkSession(ctx); err != nil {
		return fail("check "+f.store.cfg.FailedTable, err)
	}
	err := f.failures.Check(ctx)
	switch number(err) {
	case 1142, 1143, 1044, 1045: // a privilege on the table, a column, the database or the server is missing
		err = fmt.Errorf("%w: %w (grant SELECT, INSERT, UPDATE and DELETE on %s and %[3]s_body)", parley.ErrFailuresNotReady, err, f.store.cfg.FailedTable)
	}
	return err
}

// largestBody is the limit of parley's own messages.
const largestBody = 8 << 20

// Warnings returns settings of the server with which failed deliveries may be lost or refused. The store works
// in spite of them.
func (f *Failures) Warnings(ctx context.Context) (out []string, err error) {
	var flush, packet int64
	err = sqlstore.Retry(ctx, transient, func() error {
		return f.store.relay.QueryRowContext(ctx, "SELECT @@innodb_flush_log_at_trx_commit, @@max_allowed_packet").Scan(&flush, &packet)
	})
	if err != nil {
		return nil, fail("read server settings", err)
	}
	if flush != 1 {
		out = append(out, fmt.Sprintf("innodb_flush_log_at_trx_commit is %d: a failed delivery that was acked may be lost when the server loses power (set it to 1)", flush))
	}
	if packet < 2*largestBody {
		out = append(out, fmt.Sprintf("max_allowed_packet is %d bytes: failed deliveries with large bodies cannot be stored (set it to twice the largest body, at least %d)", packet, 2*largestBody))
	}
	return out, nil
}
