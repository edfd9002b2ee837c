package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

var errNoParked = errors.New("no such record")

// ListParked returns parked records with an id above after, in the order of their ids; see
// [parley.ParkedStore].
func (e *Engine[T]) ListParked(ctx context.Context, after int64, limit int) (out []parley.ParkedRecord, err error) {
	q := "SELECT id, record_id, " + e.dialect.Micros("parked_at") +
		", reason, exchange, routing_key, kind, body, properties FROM parley_parked WHERE id > ? ORDER BY id LIMIT ?"
	err = Retry(ctx, e.dialect.Transient, func() error {
		out = nil
		return Each(ctx, e.db, q, []any{after, limit}, func(rows *sql.Rows) error {
			p, err := scanParked(rows)
			out = append(out, p)
			return err
		})
	})
	return out, e.fail("list parked records", err)
}

func scanParked(rows *sql.Rows) (p parley.ParkedRecord, err error) {
	var at int64
	var kind string
	var props []byte
	if err := rows.Scan(&p.ID, &p.RecordID, &at, &p.Reason, &p.Exchange, &p.RoutingKey, &kind, &p.Body, &props); err != nil {
		return p, err
	}
	p.ParkedAt = time.UnixMicro(at).UTC()
	p.Kind = parley.Kind(kind)
	if err := DecodeProperties(props, &p.Message); err != nil {
		return p, fmt.Errorf("parked record %d: %w", p.ID, err)
	}
	return p, nil
}

// ReplayParked moves parked records back into the outbox, with their earlier ids,
// to be published at once; see [parley.ParkedStore].
func (e *Engine[T]) ReplayParked(ctx context.Context, ids []int64) (n int, err error) {
	insert := "INSERT INTO parley_outbox (id, created_at, exchange, routing_key, kind, body, properties) SELECT record_id, " +
		e.dialect.Now + ", exchange, routing_key, kind, body, properties FROM parley_parked WHERE id IN "
	err = Own(ctx, e, func(tx T) error {
		n = 0
		err := Chunks(ids, func(list string) error {
			// Locked: of two concurrent operators the second one must find no records.
			if _, err := tx.ExecContext(ctx, insert+list+e.dialect.Lock); err != nil {
				return err
			}
			moved, err := Exec(ctx, tx, e.dialect.Delete("parley_parked", list))
			n += moved
			return err
		})
		return errors.Join(err, e.operate(ctx, tx, parley.ActionReplayRecord, ids, n))
	})
	return n, e.fail("replay parked records", err)
}

// DropParked deletes parked records; see [parley.ParkedStore].
func (e *Engine[T]) DropParked(ctx context.Context, ids []int64) (n int, err error) {
	err = Own(ctx, e, func(tx T) error {
		n = 0
		err := Chunks(ids, func(list string) error {
			dropped, err := Exec(ctx, tx, e.dialect.Delete("parley_parked", list))
			n += dropped
			return err
		})
		return errors.Join(err, e.operate(ctx, tx, parley.ActionDropRecord, ids, n))
	})
	return n, e.fail("drop parked records", err)
}

// EditParked replaces the body of one parked record; see [parley.ParkedStore]. It fails if
// there is no such record.
func (e *Engine[T]) EditParked(ctx context.Context, id int64, body []byte) error {
	err := Own(ctx, e, func(tx T) error {
		var kind string
		entry, logs := parley.NewAction(ctx, parley.ActionEditRecord, parley.IDsText([]int64{id}))
		err := tx.QueryRowContext(ctx, "SELECT kind, body FROM parley_parked WHERE id = ?", id).Scan(&kind, &entry.Before)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoParked
		}
		if err == nil {
			err = parley.CheckBody(parley.Kind(kind), body)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE parley_parked SET body = ? WHERE id = ?", string(body), id)
		}
		if err == nil && logs {
			entry.After, entry.Changed, entry.Cursor = body, 1, id
			_, err = e.logged(ctx, tx, entry)
		}
		return err
	})
	return e.fail(fmt.Sprintf("edit parked record %d", id), err)
}
