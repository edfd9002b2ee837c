package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// Stats implements parley.OutboxInspector.
func (e *engine[Tx]) Stats(ctx context.Context) (st parley.OutboxStats, err error) {
	q := `SELECT count(*) FILTER (WHERE coalesce(due_at, created_at) <= now()), count(*) FILTER (WHERE due_at > now()),
 coalesce(extract(epoch FROM now() - min(coalesce(due_at, created_at)) FILTER (WHERE coalesce(due_at, created_at) <= now())), 0)::float8,
 (SELECT count(*) FROM ` + e.names.parked + `) FROM ` + e.names.outbox
	err = e.run(ctx, statement{query: q, scan: func(row scanner) error {
		var oldest float64
		err := row.Scan(&st.Due, &st.Scheduled, &oldest, &st.Parked)
		st.OldestDue = toDuration(oldest)
		return err
	}})
	return st, err
}

// ListParked implements parley.ParkedStore.
func (e *engine[Tx]) ListParked(ctx context.Context, after int64, limit int) (out []parley.ParkedRecord, err error) {
	q := "SELECT id, record_id, parked_at, reason, exchange, routing_key, kind, body, properties::text FROM " + e.names.parked + " WHERE id > $1 ORDER BY id LIMIT $2"
	err = e.run(ctx, statement{query: q, args: []any{after, limit}, scan: func(row scanner) error {
		var p parley.ParkedRecord
		var kind string
		var props rawText
		err := row.Scan(&p.ID, &p.RecordID, &p.ParkedAt, &p.Reason, &p.Exchange, &p.RoutingKey, &kind, &p.Body, &props)
		p.Kind = parley.Kind(kind)
		out = append(out, p)
		return errors.Join(err, sqlstore.DecodeProperties(props, &out[len(out)-1].Message))
	}})
	return out, err
}

// ReplayParked implements parley.ParkedStore.
func (e *engine[Tx]) ReplayParked(ctx context.Context, ids []int64) (n int, err error) {
	q := "WITH p AS (DELETE FROM " + e.names.parked + " WHERE id = ANY($1::text::bigint[]) RETURNING *) INSERT INTO " + e.names.outbox +
		" (id, exchange, routing_key, kind, body, properties) OVERRIDING SYSTEM VALUE SELECT record_id, exchange, routing_key, kind, body, properties FROM p ORDER BY record_id"
	return e.operate(ctx, parley.ActionReplayRecord, ids, statement{query: q, args: []any{idList(ids)}})
}

// DropParked implements parley.ParkedStore.
func (e *engine[Tx]) DropParked(ctx context.Context, ids []int64) (int, error) {
	q := "DELETE FROM " + e.names.parked + " WHERE id = ANY($1::text::bigint[])"
	return e.operate(ctx, parley.ActionDropRecord, ids, statement{query: q, args: []any{idList(ids)}})
}

// EditParked implements parley.ParkedStore.
func (e *engine[Tx]) EditParked(ctx context.Context, id int64, body []byte) error {
	var kind string
	missing := errNoRow
	err := e.run(ctx, statement{query: "SELECT kind FROM " + e.names.parked + " WHERE id = $1", args: []any{id}, scan: func(row scanner) error {
		missing = nil
		return row.Scan(&kind)
	}})
	if err = errors.Join(err, missing); err == nil {
		err = parley.CheckBody(parley.Kind(kind), body)
	}
	n := 0
	if err == nil {
		n, err = e.editParked(ctx, id, body)
	}
	if err == nil && n == 0 {
		err = errNoRow
	}
	if err != nil {
		return fmt.Errorf("postgres: edit parked record %d: %w", id, err)
	}
	return nil
}

func (e *engine[Tx]) editParked(ctx context.Context, id int64, body []byte) (n int, err error) {
	entry, logs := parley.NewAction(ctx, parley.ActionEditRecord, parley.IDsText([]int64{id}))
	err = e.inTx(ctx, func(c ownTx) error {
		old := "SELECT body FROM " + e.names.parked + " WHERE id = $1 FOR UPDATE"
		err := c.all(ctx, statement{query: old, args: []any{id}, scan: func(row scanner) error { return row.Scan(&entry.Before) }},
			statement{query: "UPDATE " + e.names.parked + " SET body = $2 WHERE id = $1", args: []any{id, string(body)}, count: &n})
		if err != nil || !logs || n == 0 {
			return err
		}
		entry.After, entry.Changed, entry.Cursor = body, 1, id
		return c.all(ctx, e.logged(entry, new(int64)))
	})
	return n, err
}

// operate changes parked records, and writes the action log in the same transaction.
func (e *engine[Tx]) operate(ctx context.Context, action string, ids []int64, change statement) (n int, err error) {
	entry, logs := parley.NewAction(ctx, action, parley.IDsText(ids))
	change.count = &n
	err = e.inTx(ctx, func(c ownTx) error {
		err := c.all(ctx, change)
		if err != nil || !logs || n == 0 {
			return err
		}
		entry.Changed = int64(n)
		return c.all(ctx, e.logged(entry, new(int64)))
	})
	return n, err
}

func (e *engine[Tx]) change(ctx context.Context, q string, args ...any) (n int, err error) {
	err = e.run(ctx, statement{query: q, args: args, count: &n})
	return n, err
}
