package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// ReadDue reads the due records: those without a due time in the order of their ids,
// then scheduled ones in the order of their due times. Room is reserved for scheduled records; see
// [parley.ClaimOptions.Reserved]. where is added to the
// conditions and lock to the end of each query; both may be empty.
func ReadDue[T Tx](ctx context.Context, e *Engine[T], tx Tx, o parley.ClaimOptions, where, lock string) (records []parley.Record, err error) {
	var args []any
	if len(o.Except) > 0 {
		marks, names := Placeholders(o.Except)
		where, args = where+" AND "+e.dialect.Exact("o.exchange")+" NOT IN ("+marks+")", names
	}
	sel := "SELECT " + e.dialect.columns() + " FROM " + e.dialect.ByDue
	scheduled := func(limit int) ([]parley.Record, error) {
		q := fmt.Sprintf("%s WHERE o.due_at <= %s%s ORDER BY o.due_at, o.id LIMIT %d%s", sel, e.dialect.Now, where, limit, lock)
		out, err := e.recordsWithin(ctx, tx, o.Room(10), q, args)
		if err != nil {
			return nil, fmt.Errorf("read scheduled records: %w", err)
		}
		return out, nil
	}
	reserved, small := o.Reserved(), o.Limit < smallBatch
	var timed []parley.Record
	if small && reserved > 0 {
		if timed, err = scheduled(reserved); err != nil {
			return nil, err
		}
	}
	q := fmt.Sprintf("%s WHERE o.due_at IS NULL%s ORDER BY o.id LIMIT %d%s", sel, where, o.Limit-len(timed), lock)
	if o.Limit > len(timed) {
		if records, err = e.recordsWithin(ctx, tx, o.Room(1), q, args); err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
	}
	room := o.Limit - len(records)
	if !small {
		room = max(room, reserved)
	}
	if room > len(timed) && (!small || len(timed) == reserved) {
		if timed, err = scheduled(room); err != nil {
			return nil, err
		}
	}
	return append(records[:min(len(records), o.Limit-len(timed))], timed...), nil
}

// smallBatch is the limit below which the reserved records are read first, with one more query. In a larger batch they are read last:
// a few other records are then locked without being in the batch, and parallel relays skip them until the batch has ended. In a small batch that
// would be a large part.
const smallBatch = 10

// Finish deletes the sent records and moves the parked ones to the parked table, within tx. It returns
// how many of them were deleted elsewhere.
func Finish[T Tx](ctx context.Context, e *Engine[T], tx Tx, sent []int64, parked []parley.Parked) (elsewhere int, err error) {
	n, err := e.remove(ctx, tx, sent)
	if err != nil {
		return 0, err
	}
	elsewhere = len(sent) - n
	for i := range parked {
		n, err := e.remove(ctx, tx, []int64{parked[i].Record.ID})
		if err != nil {
			return 0, err
		}
		if n == 0 {
			elsewhere++ // it was deleted elsewhere
			continue
		}
		if err := e.park(ctx, tx, &parked[i]); err != nil {
			return 0, fmt.Errorf("park record %d: %w", parked[i].Record.ID, err)
		}
	}
	return elsewhere, nil
}

func (e *Engine[T]) park(ctx context.Context, tx Tx, p *parley.Parked) error {
	r := &p.Record
	props, err := EncodeProperties(&r.Message)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO parley_parked (record_id, parked_at, reason, exchange, routing_key, kind, body, properties) VALUES (?,"+
		e.dialect.Now+",?,?,?,?,?,?)", r.ID, p.Reason, r.Exchange, r.RoutingKey, string(r.Kind), string(r.Body), props)
	return err
}

// NextDue returns the time until the earliest scheduled record is due; see
// [parley.RelaySource].
func (e *Engine[T]) NextDue(ctx context.Context) (wait time.Duration, ok bool, err error) {
	d := &e.dialect
	q := fmt.Sprintf("SELECT %s - %s FROM %s WHERE o.due_at IS NOT NULL AND NOT %s ORDER BY o.due_at, o.id LIMIT 1",
		d.Micros("o.due_at"), d.Micros(d.Now), d.ByDue, d.Held("o.id"))
	err = Retry(ctx, d.Transient, func() error {
		return Each(ctx, e.db, q, nil, func(rows *sql.Rows) error {
			var micros int64
			ok = true
			err := rows.Scan(&micros)
			wait = toDuration(micros)
			return err
		})
	})
	return wait, ok, e.fail("read the next due time", err)
}

// toDuration limits the result to 31 years. A time.Duration overflows for larger values, and an event
// scheduled for the year 9999 would be due.
func toDuration(micros int64) time.Duration {
	const limit = 1e15
	return time.Duration(max(-limit, min(micros, limit))) * time.Microsecond
}

// Stats returns the state of the outbox; see [parley.OutboxInspector].
func (e *Engine[T]) Stats(ctx context.Context) (st parley.OutboxStats, err error) {
	d := &e.dialect
	now := d.Micros(d.Now)
	q := "SELECT 0, COUNT(*), " + now + " - MIN(" + d.Micros("o.created_at") + ") FROM " + d.ByDue + " WHERE o.due_at IS NULL" +
		" UNION ALL SELECT 1, COUNT(*), " + now + " - MIN(" + d.Micros("o.due_at") + ") FROM " + d.ByDue + " WHERE o.due_at <= " + d.Now +
		" UNION ALL SELECT 2, COUNT(*), NULL FROM " + d.ByDue + " WHERE o.due_at > " + d.Now +
		" UNION ALL SELECT 3, COUNT(*), NULL FROM parley_parked"
	err = Retry(ctx, d.Transient, func() error {
		st = parley.OutboxStats{}
		var counts [4]int64
		err := Each(ctx, e.db, q, nil, func(rows *sql.Rows) error {
			var i int
			var n int64
			var age sql.NullInt64
			err := rows.Scan(&i, &n, &age)
			counts[i] = n
			st.OldestDue = max(st.OldestDue, toDuration(age.Int64))
			return err
		})
		st.Due, st.Scheduled, st.Parked = counts[0]+counts[1], counts[2], counts[3]
		return err
	})
	return st, e.fail("read stats", err)
}
