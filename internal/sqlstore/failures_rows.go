package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// failureTexts limits texts in bytes: AMQP's own texts are shorter, and errors are shortened before.
const failureTexts = 1000

// A storedFailure is a row with additional columns for the engine.
type storedFailure struct {
	parley.FailureRow
	claim   int64
	damaged error // the envelope cannot be read
}

// failureColumns returns the columns that scanFailure reads, of the table as f and its bodies as b. %s is the body or NULL.
func (f *Failures[T]) failureColumns(body string) string {
	m := f.d.Micros
	return "f.id, f.consumer, f.state, " + m("f.due_at") + ", " + m("f.created_at") + ", " + m("f.parked_at") +
		", f.holds, f.ordering_key, f.identity, f.claim, f.claimed_by, f.begun, f.repeats, f.size, f.fingerprint" +
		", f.hops, f.attempts, f.replays, " + m("f.first_failure") + ", " + m("f.last_failure") + ", f.first_error, f.last_error, f.reason" +
		", f.exchange, f.routing_key, f.message_id, f.correlation_id, b.envelope, " + body
}

func scanFailure(rows *sql.Rows) (r storedFailure, err error) {
	var state string
	var due, created, parked, first, last sql.NullInt64
	var envelope, body []byte
	var plain parley.Message
	h := &r.History
	err = rows.Scan(&r.ID, &r.Consumer, &state, &due, &created, &parked,
		&r.Holds, &r.Key, &r.Identity, &r.claim, &r.ClaimedBy, &r.Begun, &r.Repeats, &r.Size, &r.Fingerprint,
		&h.Retries, &h.Attempts, &h.Replays, &first, &last, &h.FirstError, &h.LastError, &h.Reason,
		&plain.Exchange, &plain.RoutingKey, &plain.ID, &plain.CorrelationID, &envelope, &body)
	if err != nil {
		return r, err
	}
	r.State = parley.FailureState(state)
	r.DueAt, r.CreatedAt, r.ParkedAt = fromMicros(due), fromMicros(created), fromMicros(parked)
	h.FirstFailure, h.LastFailure = fromMicros(first), fromMicros(last)
	if r.Message, err = parley.DecodeEnvelope(envelope); err != nil {
		r.damaged, r.Message = fmt.Errorf("failed delivery %d: %w", r.ID, err), plain
	}
	r.Message.Body = body
	return r, nil
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// failureTime returns a time of a history as a parameter. Histories come from other processes with
// any clock: a time outside the column's range becomes the nearest one within it.
func (f *Failures[T]) failureTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return f.d.Time(clampTime(t))
}

var (
	firstTime = time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

func clampTime(t time.Time) time.Time {
	switch {
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	return t
}

// load reads rows by their ids, in their order.
func (f *Failures[T]) load(ctx context.Context, q queryer, ids []int64, body string) (out []storedFailure, err error) {
	err = Chunks(ids, func(list string) error {
		query := "SELECT " + f.failureColumns(body) + " FROM " + f.table("") +
			" LEFT JOIN parley_failed_body AS b ON b.id = f.id WHERE f.id IN " + list + " ORDER BY f.id"
		return Each(ctx, q, f.sql(query), nil, func(rows *sql.Rows) error {
			r, err := scanFailure(rows)
			out = append(out, r)
			return err
		})
	})
	return out, err
}

// remove deletes rows and their bodies, within tx.
func (f *Failures[T]) remove(ctx context.Context, tx Tx, ids []int64) (removed int, err error) {
	err = Chunks(ids, func(list string) error {
		if _, err := f.exec(ctx, tx, f.d.Delete("parley_failed_body", list)); err != nil {
			return err
		}
		n, err := f.exec(ctx, tx, f.d.Delete("parley_failed", list))
		removed += n
		return err
	})
	return removed, err
}

func ids[E any](rows []E, id func(*E) int64) []int64 {
	out := make([]int64, len(rows))
	for i := range rows {
		out[i] = id(&rows[i])
	}
	return out
}
