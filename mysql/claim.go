package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/internal/sqlstore"
)

// Claim claims due records for a relay; see [parley.RelaySource]. The relay lock, the row locks and the
// fencing are one transaction at READ COMMITTED. An ordered relay locks a row of
// parley_locks in it. So a relay that freezes loses lead and records together when the
// server ends its session after 15 silent seconds. Records that other transactions have locked or not
// yet committed are skipped.
func (s *Store) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	if err := s.checkSession(ctx); err != nil {
		return nil, fail("claim records", err)
	}
	var b *batch
	err := sqlstore.Retry(ctx, transient, func() error {
		due, err := s.anyDue(ctx, o)
		if err != nil {
			return err
		}
		if !due { // no record is held by another relay either: this query would see it
			b = &batch{store: s}
			return nil
		}
		if b, err = s.hold(ctx); err != nil {
			return err
		}
		if err = b.take(ctx, o); err != nil {
			b.stale = isReadOnly(err)
			return errors.Join(err, b.end())
		}
		return nil
	})
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, parley.ErrStandby):
		return nil, parley.ErrStandby
	}
	return nil, fail("claim records", err)
}

// anyDue checks without locks, in one round trip instead of the claim's seven.
func (s *Store) anyDue(ctx context.Context, o parley.ClaimOptions) (due bool, err error) {
	marks, names := sqlstore.Placeholders(o.Except)
	end := ")"
	if len(names) > 0 {
		end = " AND " + exact("o.exchange") + " NOT IN (" + marks + "))"
	}
	from := "EXISTS (SELECT 1 FROM " + byDue + " WHERE o.due_at "
	err = s.relay.QueryRowContext(ctx, "SELECT "+from+"IS NULL"+end+" OR "+from+"<= "+now+end, append(names, names...)...).Scan(&due)
	if err != nil {
		return false, fmt.Errorf("find due records: %w", err)
	}
	return due, nil
}

// A batch is a transaction that has locked records, on a connection of its own. An empty
// batch has neither.
type batch struct {
	store   *Store
	conn    *sql.Conn
	tx      *sql.Tx
	cancel  context.CancelFunc // of the transaction's context
	timeout int64              // the session's earlier wait_timeout
	records []parley.Record
	done    bool
	stale   bool // the session is read-only
}

// idleLimit is how long, in seconds, the server keeps a silent session. It is longer than a
// relay ever waits for a broker.
const idleLimit = 15

// hold begins the transaction. It outlives ctx, because the batch is still settled when a relay stops.
func (s *Store) hold(ctx context.Context) (*batch, error) {
	conn, err := s.relay.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	b := &batch{store: s, conn: conn}
	var readOnly string
	if err := conn.QueryRowContext(ctx, "SELECT @@SESSION.wait_timeout, @@GLOBAL.read_only").Scan(&b.timeout, &readOnly); err != nil {
		return nil, errors.Join(fmt.Errorf("read wait_timeout: %w", err), b.end())
	}
	if isOn(readOnly) { // what cannot be deleted afterwards must not be published
		b.stale = true
		return nil, errors.Join(errReadOnly, b.end())
	}
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION wait_timeout = %d", idleLimit)); err != nil {
		return nil, errors.Join(fmt.Errorf("set wait_timeout: %w", err), b.end())
	}
	var txCtx context.Context
	txCtx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, b.cancel)
	b.tx, err = conn.BeginTx(txCtx, readCommitted)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin transaction: %w", err), b.end())
	}
	return b, nil
}

func (b *batch) take(ctx context.Context, o parley.ClaimOptions) (err error) {
	if o.Mode == parley.RelayModeOrdered {
		if err := lead(ctx, b.tx); err != nil {
			return err
		}
	}
	b.records, err = sqlstore.ReadDue(ctx, &b.store.engine, b.tx, o, "", " FOR UPDATE SKIP LOCKED")
	return err
}

// lead locks the row of ordered relays, or returns an error if another relay has locked it.
func lead(ctx context.Context, tx *sql.Tx) error {
	var id int
	err := tx.QueryRowContext(ctx, "SELECT id FROM parley_locks WHERE id = 0 FOR UPDATE NOWAIT").Scan(&id)
	switch {
	case number(err) == 1205, number(err) == 3572: // MariaDB's and MySQL's codes for it
		return parley.ErrStandby
	case errors.Is(err, sql.ErrNoRows):
		return errNoLockRow
	}
	return err
}

// Records implements parley.Batch.
func (b *batch) Records() []parley.Record { return b.records }

var errEnded = errors.New("the batch was settled or released before")

// Settle implements parley.Batch. After an error the records are released.
func (b *batch) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (int, error) {
	if b.done {
		return 0, fail("settle batch", errEnded)
	}
	if b.tx == nil {
		b.done = true
		return 0, fail("settle batch", b.nothingToSettle(sent, parked))
	}
	elsewhere, err := b.finish(ctx, sent, parked)
	b.stale = isReadOnly(err)
	return elsewhere, fail("settle batch", errors.Join(err, b.end()))
}

func (b *batch) nothingToSettle(sent []int64, parked []parley.Parked) error {
	if n := len(sent) + len(parked); n > 0 {
		return fmt.Errorf("%d records are not of this batch, which is empty", n)
	}
	return nil
}

func (b *batch) finish(ctx context.Context, sent []int64, parked []parley.Parked) (int, error) {
	elsewhere, err := sqlstore.Finish(ctx, &b.store.engine, b.tx, sent, parked)
	if err == nil {
		err = failpoint.Hit("store.deleted")
	}
	if err != nil {
		return 0, err
	}
	if err := dropTags(ctx, b.tx, b.tagged(sent, parked)); err != nil {
		return 0, err
	}
	if err := failpoint.Hit("store.committing"); err != nil {
		return 0, err
	}
	if err := b.tx.Commit(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return elsewhere, failpoint.Hit("store.committed")
}

// tagged returns which of the settled records have tags.
func (b *batch) tagged(sent []int64, parked []parley.Parked) (ids []int64) {
	gone := make(map[int64]bool, len(sent)+len(parked))
	for _, id := range sent {
		gone[id] = true
	}
	for i := range parked {
		gone[parked[i].Record.ID] = true
	}
	for i := range b.records {
		if r := &b.records[i]; len(r.Tags) > 0 && gone[r.ID] {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// Release implements parley.Batch.
func (b *batch) Release(context.Context) error { return fail("release batch", b.end()) }

// end rolls back uncommitted changes and restores the connection. A connection that
// does not answer is discarded: the server rolls back then.
func (b *batch) end() error {
	if b.done {
		return nil
	}
	b.done = true
	if b.conn == nil {
		return nil
	}
	var failed error
	if b.tx != nil {
		if err := b.tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
			failed = err
		}
	}
	if b.cancel != nil {
		b.cancel()
	}
	if b.timeout != 0 && failed == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, failed = b.conn.ExecContext(ctx, fmt.Sprintf("SET SESSION wait_timeout = %d", b.timeout))
		cancel()
	}
	if failed != nil || b.stale {
		discard(b.conn)
	}
	if err := b.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return errors.Join(failed, err)
	}
	return failed
}
