package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/internal/sqlstore"
)

// Claim implements parley.RelaySource. Exclusion, row locks and fencing are one
// transaction: a relay that freezes in it loses all three together when the server ends
// the idle transaction after 15 seconds, so no successor can overtake its rows.
func (e *engine[Tx]) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	tx, end, err := e.hold(ctx)
	if err != nil {
		return nil, err
	}
	b := &batch[Tx]{e: e, c: e.use(tx), end: end}
	if err := b.claim(ctx, o); err != nil {
		return nil, errors.Join(err, b.Release(context.WithoutCancel(ctx)))
	}
	return b, nil
}

type batch[Tx any] struct {
	e       *engine[Tx]
	c       conn
	end     context.CancelFunc
	records []parley.Record
	done    bool
}

// claim locks and reads in one round trip: the lock is asked for first, and again by each
// statement that would otherwise wait for the rows of the active relay.
func (b *batch[Tx]) claim(ctx context.Context, o parley.ClaimOptions) error {
	except, err := json.Marshal(append([]string{}, o.Except...))
	if err != nil {
		return err
	}
	reserve := o.Limit / 10 // a flood of events must not hold up what is scheduled
	var records, due []parley.Record
	active := false
	scheduled := func(limit int) statement {
		return b.e.readStatement(&due, b.e.claimQuery(o, "due_at <= statement_timestamp()", "due_at, id", limit), string(except))
	}
	err = b.c.all(ctx,
		b.e.lockStatement(o.Mode, &active),
		b.e.readStatement(&records, b.e.claimQuery(o, "due_at IS NULL", "id", o.Limit), string(except)),
		scheduled(reserve))
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	if !active {
		return parley.ErrStandby
	}
	if room := o.Limit - len(records); len(due) == reserve && room > reserve {
		due = nil
		if err := b.c.all(ctx, scheduled(room)); err != nil {
			return fmt.Errorf("read scheduled records: %w", err)
		}
	}
	b.records = append(records[:min(len(records), o.Limit-len(due))], due...)
	return nil
}

// claimQuery selects and locks due rows. The time is that of the statement: clock_timestamp() may
// change between rows, so that no index would be used for it.
func (e *engine[Tx]) claimQuery(o parley.ClaimOptions, due, order string, limit int) string {
	tail := ""
	if o.Mode == parley.ModeParallel {
		tail = " SKIP LOCKED"
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s AND (SELECT %s) AND exchange NOT IN (SELECT jsonb_array_elements_text($1::jsonb)) ORDER BY %s LIMIT %d FOR UPDATE%s",
		columns, e.names.outbox, due, e.tryLock(o.Mode), order, limit, tail)
}

// lock makes this transaction the only relay in ordered mode.
func (e *engine[Tx]) lock(ctx context.Context, c conn, mode parley.RelayMode) error {
	active := false
	if err := c.all(ctx, e.lockStatement(mode, &active)); err != nil {
		return fmt.Errorf("lock outbox: %w", err)
	}
	if !active {
		return parley.ErrStandby
	}
	return nil
}

// lockStatement asks for the lock, and has the server end the transaction if this process freezes.
func (e *engine[Tx]) lockStatement(mode parley.RelayMode, active *bool) statement {
	q := "SELECT " + e.tryLock(mode) + ", set_config('idle_in_transaction_session_timeout', '15000', true)"
	return statement{q, nil, func(row scanner) error {
		var timeout string
		return row.Scan(active, &timeout)
	}}
}

// tryLock is an expression that is true while this transaction may work as a relay.
func (e *engine[Tx]) tryLock(mode parley.RelayMode) string {
	if mode != parley.ModeOrdered {
		return "true"
	}
	return fmt.Sprintf("pg_try_advisory_xact_lock(hashtextextended(current_database() || %d::text || coalesce(to_regclass('%s')::oid, 0)::text, 0))",
		lockSpace(), strings.ReplaceAll(e.names.outbox, "'", "''"))
}

// lockSpace keeps our advisory locks apart from those of others.
func lockSpace() uint32 {
	h := fnv.New32a()
	h.Write([]byte("parley relay"))
	return h.Sum32()
}

// Records implements parley.Batch.
func (b *batch[Tx]) Records() []parley.Record { return b.records }

// Settle implements parley.Batch.
func (b *batch[Tx]) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (int, error) {
	if b.done {
		return 0, errors.New("batch has ended")
	}
	n, err := b.e.remove(ctx, b.c, sent)
	if err == nil {
		err = failpoint.Hit("store.deleted")
	}
	if err != nil {
		return 0, err
	}
	foreign := len(sent) - n
	for _, p := range parked {
		kept, err := b.park(ctx, p)
		if err != nil {
			return 0, fmt.Errorf("park record %d: %w", p.Record.ID, err)
		}
		foreign += 1 - kept
	}
	if err := failpoint.Hit("store.committing"); err != nil {
		return 0, err
	}
	b.done = true
	defer b.end()
	if err := b.c.commit(ctx); err != nil {
		return 0, err
	}
	return foreign, failpoint.Hit("store.committed")
}

// park moves a record aside, if nobody has deleted it meanwhile, and returns how many it moved.
func (b *batch[Tx]) park(ctx context.Context, p parley.Parked) (int, error) {
	props, err := sqlstore.EncodeProperties(&p.Record.Message)
	if err != nil {
		return 0, err
	}
	q := "WITH gone AS (DELETE FROM " + b.e.names.outbox + " WHERE id = $1 RETURNING id) INSERT INTO " + b.e.names.parked +
		" (record_id, reason, exchange, routing_key, kind, body, properties) SELECT id, $2, $3, $4, $5, $6, $7::jsonb FROM gone"
	return b.c.exec(ctx, q, p.Record.ID, p.Reason, p.Record.Exchange, p.Record.RoutingKey, string(p.Record.Kind), string(p.Record.Body), props)
}

// Release implements parley.Batch.
func (b *batch[Tx]) Release(ctx context.Context) error {
	if b.done {
		return nil
	}
	b.done = true
	defer b.end()
	return b.c.rollback(ctx)
}

func (e *engine[Tx]) remove(ctx context.Context, c conn, ids []int64) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := c.exec(ctx, "DELETE FROM "+e.names.outbox+" WHERE id = ANY($1::text::bigint[])", idList(ids))
	if err != nil {
		return 0, fmt.Errorf("delete sent records: %w", err)
	}
	return n, nil
}

// Delete implements parley.RelaySource.
func (e *engine[Tx]) Delete(ctx context.Context, ids []int64) (n int, err error) {
	err = e.inTx(ctx, func(c conn) error {
		n, err = e.remove(ctx, c, ids)
		return err
	})
	return n, err
}

// NextDue implements parley.RelaySource.
func (e *engine[Tx]) NextDue(ctx context.Context) (wait time.Duration, ok bool, err error) {
	q := "SELECT extract(epoch FROM due_at - clock_timestamp())::float8 FROM " + e.names.outbox + " WHERE due_at IS NOT NULL ORDER BY due_at, id LIMIT 1"
	err = e.inTx(ctx, func(c conn) error {
		return c.query(ctx, q, func(row scanner) error {
			var seconds float64
			ok = true
			err := row.Scan(&seconds)
			wait = toDuration(seconds)
			return err
		})
	})
	return wait, ok, err
}

// toDuration keeps within 31 years: further away a time.Duration overflows, and what is
// scheduled for the year 9999 would be due.
func toDuration(seconds float64) time.Duration {
	return time.Duration(max(-1e9, min(seconds, 1e9)) * float64(time.Second))
}

// Stats implements parley.OutboxInspector.
func (e *engine[Tx]) Stats(ctx context.Context) (st parley.OutboxStats, err error) {
	q := `SELECT count(*) FILTER (WHERE coalesce(due_at, created_at) <= now()), count(*) FILTER (WHERE due_at > now()),
 coalesce(extract(epoch FROM now() - min(coalesce(due_at, created_at)) FILTER (WHERE coalesce(due_at, created_at) <= now())), 0)::float8,
 (SELECT count(*) FROM ` + e.names.parked + `) FROM ` + e.names.outbox
	err = e.inTx(ctx, func(c conn) error {
		return c.query(ctx, q, func(row scanner) error {
			var oldest float64
			err := row.Scan(&st.Due, &st.Scheduled, &oldest, &st.Parked)
			st.OldestDue = toDuration(oldest)
			return err
		})
	})
	return st, err
}

// ListParked implements parley.ParkedStore.
func (e *engine[Tx]) ListParked(ctx context.Context, after int64, limit int) (out []parley.ParkedRecord, err error) {
	q := "SELECT id, record_id, parked_at, reason, exchange, routing_key, kind, body, properties::text FROM " + e.names.parked + " WHERE id > $1 ORDER BY id LIMIT $2"
	err = e.inTx(ctx, func(c conn) error {
		return c.query(ctx, q, func(row scanner) error {
			var p parley.ParkedRecord
			var kind, body, props string
			err := row.Scan(&p.ID, &p.RecordID, &p.ParkedAt, &p.Reason, &p.Exchange, &p.RoutingKey, &kind, &body, &props)
			p.Kind, p.Body = parley.Kind(kind), []byte(body)
			out = append(out, p)
			return errors.Join(err, sqlstore.DecodeProperties(props, &out[len(out)-1].Message))
		}, after, limit)
	})
	return out, err
}

// ReplayParked implements parley.ParkedStore.
func (e *engine[Tx]) ReplayParked(ctx context.Context, ids []int64) (n int, err error) {
	q := "WITH p AS (DELETE FROM " + e.names.parked + " WHERE id = ANY($1::text::bigint[]) RETURNING *) INSERT INTO " + e.names.outbox +
		" (id, exchange, routing_key, kind, body, properties) OVERRIDING SYSTEM VALUE SELECT record_id, exchange, routing_key, kind, body, properties FROM p ORDER BY record_id"
	return e.change(ctx, q, idList(ids))
}

// DropParked implements parley.ParkedStore.
func (e *engine[Tx]) DropParked(ctx context.Context, ids []int64) (int, error) {
	return e.change(ctx, "DELETE FROM "+e.names.parked+" WHERE id = ANY($1::text::bigint[])", idList(ids))
}

// EditParked implements parley.ParkedStore.
func (e *engine[Tx]) EditParked(ctx context.Context, id int64, body []byte) error {
	n, err := e.change(ctx, "UPDATE "+e.names.parked+" SET body = $2 WHERE id = $1", id, string(body))
	if err == nil && n == 0 {
		err = errNoRow
	}
	if err != nil {
		return fmt.Errorf("postgres: edit parked record %d: %w", id, err)
	}
	return nil
}

func (e *engine[Tx]) change(ctx context.Context, q string, args ...any) (n int, err error) {
	err = e.inTx(ctx, func(c conn) error {
		n, err = c.exec(ctx, q, args...)
		return err
	})
	return n, err
}
