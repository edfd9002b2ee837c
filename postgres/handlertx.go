package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley/internal/failpoint"
)

// A handlerTx is a transaction that a handler or a producer uses.
type handlerTx[Tx any] struct {
	tx Tx
	// end rolls back unless the transaction has ended, and returns the session to the pool. If the transaction failed with
	// cause because the session is read-only, end closes the session.
	end func(ctx context.Context, cause error)
}

// InTx runs fn in a transaction. It commits if fn returns nil, and rolls back if fn fails or panics.
// A read-only session is closed: after a failover it may stay read-only for as long as it lives.
func (e *engine[Tx]) InTx(ctx context.Context, fn func(tx Tx) error) error {
	h, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { h.end(context.WithoutCancel(ctx), err) }()
	if err = fn(h.tx); err == nil {
		err = e.use(h.tx).commit(ctx)
	}
	return err
}

// handle runs a handler in a transaction, after its first statements.
func (e *engine[Tx]) handle(ctx context.Context, first []statement, fn func(ctx context.Context, tx Tx) error) (err error) {
	h, err := e.begin(ctx, first...)
	if err != nil {
		return fmt.Errorf("record in inbox: %w", err)
	}
	defer func() { h.end(context.WithoutCancel(ctx), err) }()
	if err := fn(ctx, h.tx); err != nil {
		return err
	}
	if err := e.use(h.tx).commit(ctx); err != nil {
		return err
	}
	return failpoint.Hit("inbox.committed")
}

// beginPooled begins a handler's transaction and runs its first statements in the same round trip.
func beginPooled(pool *pgxpool.Pool) func(context.Context, ...statement) (handlerTx[pgx.Tx], error) {
	return func(ctx context.Context, first ...statement) (handlerTx[pgx.Tx], error) {
		h, err := beginBatch(ctx, pool, first)
		if err != nil && h.end != nil {
			h.end(context.WithoutCancel(ctx), err)
		}
		return h, err
	}
}

func beginBatch(ctx context.Context, pool *pgxpool.Pool, first []statement) (h handlerTx[pgx.Tx], err error) {
	if len(first) == 0 {
		h.tx, err = pool.Begin(ctx)
	} else {
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{})
		queue(&b, first)
		results := pool.SendBatch(ctx, &b)
		h.tx = results.Tx()
		err = results.Close()
	}
	if h.tx != nil {
		h.end = func(ctx context.Context, cause error) { endPooled(ctx, h.tx, cause) }
	}
	return h, err
}

func endPooled(ctx context.Context, tx pgx.Tx, cause error) {
	if c := tx.Conn(); cause != nil && (isReadOnly(cause) || c != nil && saysReadOnly(c)) {
		_ = c.Close(ctx) // the pool discards it
	}
	_ = pgxConn{tx}.rollback(ctx) // a no-op after the commit
}

// saysReadOnly reports whether the server has reported that the session is read-only (PostgreSQL 14 and later). The
// handler may have swallowed the error that would show it.
func saysReadOnly(c *pgx.Conn) bool {
	pg := c.PgConn()
	return pg.ParameterStatus("in_hot_standby") == "on" || pg.ParameterStatus("default_transaction_read_only") == "on"
}

// beginSQL begins a handler's transaction and runs its first statements.
func beginSQL(db *sql.DB) func(context.Context, ...statement) (handlerTx[Tx], error) {
	return func(ctx context.Context, first ...statement) (handlerTx[Tx], error) {
		session, tx, err := beginSession(ctx, ctx, db, nil)
		if err != nil {
			return handlerTx[Tx]{}, err
		}
		h := handlerTx[Tx]{tx: tx, end: func(ctx context.Context, cause error) {
			_ = sqlConn{tx}.rollback(ctx) // a no-op after the commit
			if isReadOnly(cause) {
				discard(session)
			}
			_ = session.Close() // the transaction has ended
		}}
		if err := runAll(ctx, sqlConn{tx}, first); err != nil {
			h.end(context.WithoutCancel(ctx), err)
			return handlerTx[Tx]{}, err
		}
		return h, nil
	}
}

// discard makes the pool close a session.
func discard(session *sql.Conn) {
	_ = session.Raw(func(any) error { return driver.ErrBadConn })
}
