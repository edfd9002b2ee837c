package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ownTx is a transaction of the store itself. rollback does nothing after its end, and must be called.
type ownTx interface {
	conn
	// all runs several statements, in one round trip if the driver supports that.
	all(ctx context.Context, statements ...statement) error
	// finish runs statements like all and commits, in one round trip if the driver supports that.
	finish(ctx context.Context, statements ...statement) error
}

// A statement is a query and where its rows go.
type statement struct {
	query string
	args  []any
	scan  func(row scanner) error // nil if there are no rows
	count *int                    // gets the number of rows that it changed, if not nil
}

// inTx runs fn in a transaction of the store itself.
func (e *engine[Tx]) inTx(ctx context.Context, fn func(c ownTx) error) error {
	c, err := e.own(ctx)
	if err != nil {
		return err
	}
	defer c.rollback(context.WithoutCancel(ctx))
	if err := fn(c); err != nil {
		return err
	}
	return c.commit(ctx)
}

// run runs statements in a transaction of the store itself.
func (e *engine[Tx]) run(ctx context.Context, statements ...statement) error {
	c, err := e.own(ctx)
	if err != nil {
		return err
	}
	defer c.rollback(context.WithoutCancel(ctx))
	return c.finish(ctx, statements...)
}

// A pooledTx is an ownTx over pgx. It begins in the round trip of its first statements and commits
// in that of its last. So a relay needs two round trips instead of five for a single event.
type pooledTx struct {
	c     *pgxpool.Conn
	begin string // the statement
	begun bool
	done  bool
}

// beginReadCommitted begins a transaction in which each statement sees what other transactions have committed.
const beginReadCommitted = "BEGIN ISOLATION LEVEL READ COMMITTED"

func ownPooled(pool *pgxpool.Pool, begin string) func(context.Context) (ownTx, error) {
	return func(ctx context.Context) (ownTx, error) {
		c, err := pool.Acquire(ctx)
		if err != nil {
			return nil, fmt.Errorf("begin transaction: %w", err)
		}
		return &pooledTx{c: c, begin: begin}, nil
	}
}

func (t *pooledTx) all(ctx context.Context, statements ...statement) error {
	return t.send(ctx, statements, false)
}

func (t *pooledTx) finish(ctx context.Context, statements ...statement) error {
	if err := t.send(ctx, statements, true); err != nil {
		return err
	}
	t.release()
	return nil
}

func (t *pooledTx) send(ctx context.Context, statements []statement, commit bool) error {
	if t.done {
		return pgx.ErrTxClosed
	}
	var b pgx.Batch
	if !t.begun {
		b.Queue(t.begin)
		t.begun = true
	}
	queue(&b, statements)
	if commit {
		b.Queue("COMMIT").Exec(committed)
	}
	err := t.c.SendBatch(ctx, &b).Close()
	if isReadOnly(err) {
		return errors.Join(err, t.c.Conn().Close(context.WithoutCancel(ctx)))
	}
	return missingTables(err)
}

// isReadOnly reports whether a session cannot write. It may stay read-only indefinitely although the database is writable
// again, so it must be closed and replaced by a new one.
func isReadOnly(err error) bool {
	var e interface{ SQLState() string } // of every driver
	return errors.As(err, &e) && e.SQLState() == "25006"
}

func queue(b *pgx.Batch, statements []statement) {
	for _, s := range statements {
		q := b.Queue(s.query, s.args...)
		if s.scan != nil {
			q.Query(func(rows pgx.Rows) error { return errors.Join(scanAll(rows, s.scan), rows.Err()) })
			continue
		}
		q.Exec(func(tag pgconn.CommandTag) error {
			if s.count != nil {
				*s.count = int(tag.RowsAffected())
			}
			return nil
		})
	}
}

// committed returns an error if the server answers the commit of a failed transaction with ROLLBACK.
func committed(tag pgconn.CommandTag) error {
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

func (t *pooledTx) exec(ctx context.Context, query string, args ...any) (n int, err error) {
	return n, t.all(ctx, statement{query: query, args: args, count: &n})
}

func (t *pooledTx) query(ctx context.Context, query string, scan func(scanner) error, args ...any) error {
	return t.all(ctx, statement{query: query, args: args, scan: scan})
}

func (t *pooledTx) array(a textArray) any { return []*string(a) }

func (t *pooledTx) commit(ctx context.Context) error { return t.finish(ctx) }

func (t *pooledTx) rollback(ctx context.Context) error {
	if t.done {
		return nil
	}
	defer t.release()
	if pg := t.c.Conn().PgConn(); pg.IsClosed() || pg.TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rollbackTimeout)
	defer cancel()
	_, err := t.c.Exec(ctx, "ROLLBACK")
	return err
}

// release returns the connection to the pool, which discards it if it is broken or still in a transaction.
func (t *pooledTx) release() {
	t.done = true
	t.c.Release()
}

// A heldTx is an ownTx over database/sql. database/sql rolls a transaction back when its context
// ends, even if a relay still waits for the broker. So a heldTx has a context of its own.
type heldTx struct {
	sqlConn
	session *sql.Conn
	end     context.CancelFunc
	stale   bool // the session cannot be used any more
}

func ownSQL(db *sql.DB, o *sql.TxOptions) func(context.Context) (ownTx, error) {
	return func(ctx context.Context) (ownTx, error) {
		held, end := context.WithCancel(context.WithoutCancel(ctx))
		stop := context.AfterFunc(ctx, end)
		session, tx, err := beginSession(ctx, held, db, o)
		if !stop() && err == nil {
			err = errors.Join(ctx.Err(), sqlConn{tx}.rollback(ctx), session.Close())
		}
		if err != nil {
			end()
			return nil, fmt.Errorf("begin transaction: %w", err)
		}
		return &heldTx{sqlConn: sqlConn{tx}, session: session, end: end}, nil
	}
}

// beginSession begins a transaction whose context is held. It retries while the pool has broken connections, as
// sql.DB does.
func beginSession(ctx, held context.Context, db *sql.DB, o *sql.TxOptions) (*sql.Conn, *sql.Tx, error) {
	for tries := db.Stats().OpenConnections; ; tries-- {
		session, err := db.Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		tx, err := session.BeginTx(held, o)
		if err == nil {
			return session, tx, nil
		}
		_ = session.Close() // it may be broken
		if !errors.Is(err, driver.ErrBadConn) || tries <= 0 {
			return nil, nil, err
		}
	}
}

func (t *heldTx) all(ctx context.Context, statements ...statement) error {
	err := runAll(ctx, t.sqlConn, statements)
	t.stale = t.stale || isReadOnly(err)
	return err
}

func runAll(ctx context.Context, c conn, statements []statement) (err error) {
	for _, s := range statements {
		if s.scan != nil {
			err = c.query(ctx, s.query, s.scan, s.args...)
		} else {
			var n int
			n, err = c.exec(ctx, s.query, s.args...)
			if s.count != nil {
				*s.count = n
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *heldTx) finish(ctx context.Context, statements ...statement) error {
	if err := t.all(ctx, statements...); err != nil {
		return err
	}
	return t.commit(ctx)
}

func (t *heldTx) commit(ctx context.Context) error {
	defer t.release()
	return t.sqlConn.commit(ctx)
}

func (t *heldTx) rollback(ctx context.Context) error {
	defer t.release()
	return t.sqlConn.rollback(ctx)
}

// release returns the session to the pool, or discards it. It may be called again.
func (t *heldTx) release() {
	t.end()
	if t.stale {
		discard(t.session)
	}
	_ = t.session.Close() // the transaction has ended
}
