package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
)

// Keep implements parley.FailureStore.
func (f *failures[Tx]) Keep(ctx context.Context, consumer string, list []parley.Failure) ([]parley.KeptFailure, error) {
	if len(list) == 0 {
		return nil, nil
	}
	kept, err := f.keep(ctx, consumer, list)
	if err != nil {
		return nil, fmt.Errorf("postgres: keep %s: %w", deliveries(len(list)), refused(err))
	}
	var keys []string
	for i := range kept {
		if kept[i].State == parley.FailureBehind {
			keys = append(keys, list[i].Key)
		}
	}
	f.promoteAfter(ctx, consumer, keys)
	return kept, nil
}

func deliveries(n int) string {
	if n == 1 {
		return "1 failed delivery"
	}
	return fmt.Sprintf("%d failed deliveries", n)
}

// refused marks errors that are caused by the data itself: data exceptions, violated constraints and exceeded limits. A
// violated unique constraint is not marked: its cause is another row.
func refused(err error) error {
	var e interface{ SQLState() string } // of every driver
	if !errors.As(err, &e) {
		return err
	}
	code := e.SQLState()
	if code == "23505" || !strings.HasPrefix(code, "22") && !strings.HasPrefix(code, "23") && !strings.HasPrefix(code, "54") {
		return err
	}
	return fmt.Errorf("%w: %w", parley.ErrRefused, err)
}

// keep assigns the ids first, in the order of the rows. Then it can insert the rows in the order of repeat_of, which
// is the order of the locks. So two processes that keep the same messages do not deadlock.
func (f *failures[Tx]) keep(ctx context.Context, consumer string, list []parley.Failure) ([]parley.KeptFailure, error) {
	rows := make([]keptRow, len(list))
	for i := range list {
		if err := rows[i].fill(consumer, &list[i]); err != nil {
			return nil, fmt.Errorf("failure %d: %w", i, err)
		}
	}
	err := f.inTx(ctx, func(c ownTx) error {
		if err := c.all(ctx, prepare(impatient, durable), f.takeIDs(rows)); err != nil {
			return err
		}
		var statements []statement
		for _, r := range inLockOrder(rows) {
			statements = append(statements, f.insertRow(r))
		}
		statements = append(statements, f.putBehind(rows))
		if err := failpoint.Hit("failures.keeping"); err != nil {
			return err
		}
		return c.finish(ctx, statements...)
	})
	kept := make([]parley.KeptFailure, len(rows))
	for i := range rows {
		kept[i] = rows[i].kept
	}
	return kept, err
}

// takeIDs assigns ids to the rows.
func (f *failures[Tx]) takeIDs(rows []keptRow) statement {
	i := 0
	q := "SELECT nextval(pg_get_serial_sequence($1, 'id')::regclass) FROM generate_series(1, $2)"
	return statement{query: q, args: []any{f.e.names.failed, len(rows)}, scan: func(row scanner) error {
		i++
		return row.Scan(&rows[i-1].id)
	}}
}

func inLockOrder(rows []keptRow) []*keptRow {
	out := make([]*keptRow, len(rows))
	for i := range rows {
		out[i] = &rows[i]
	}
	slices.SortFunc(out, func(a, b *keptRow) int {
		return cmp.Or(bytes.Compare(a.repeatOf, b.repeatOf), cmp.Compare(a.id, b.id))
	})
	return out
}

const insertFailure = ` AS f (id, consumer, repeat_of, ordering_key, state, holds, due_at, parked_at, begun, hops, attempts, replays,
 first_failure, last_failure, first_error, last_error, reason, fingerprint, exchange, routing_key, message_id, identity, correlation_id,
 size, envelope, body) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7::float8),
 CASE WHEN $5 = 'parked' THEN clock_timestamp() END, $8, $9, $10, $11, $12::text::timestamptz, $13::text::timestamptz, $14, $15, $16, $17, $18, $19, $20,
 $21, $22, $23, $24, $25) ON CONFLICT (repeat_of) WHERE repeat_of IS NOT NULL DO UPDATE SET repeats = f.repeats + 1 RETURNING id, state`

func (f *failures[Tx]) insertRow(r *keptRow) statement {
	args := append([]any{r.id}, r.args...)
	return statement{query: "INSERT INTO " + f.e.names.failed + insertFailure, args: args, scan: func(row scanner) error {
		err := row.Scan(&r.kept.ID, (*string)(&r.kept.State))
		r.kept.Repeat = r.kept.ID != r.id
		return err
	}}
}

// putBehind puts new rows behind earlier ones of their keys, after all rows were inserted.
func (f *failures[Tx]) putBehind(rows []keptRow) statement {
	var ids []int64
	for i := range rows {
		if rows[i].keyed {
			ids = append(ids, rows[i].id)
		}
	}
	q := "UPDATE " + f.e.names.failed + ` f SET state = 'behind', due_at = NULL WHERE id = ANY($1::text::bigint[])
 AND state = 'waiting' AND ` + f.hasEarlier() + " RETURNING id"
	return statement{query: q, args: []any{idList(ids)}, scan: func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		for i := range rows {
			if rows[i].kept.ID == id {
				rows[i].kept.State = parley.FailureBehind
			}
		}
		return err
	}}
}

// A keptRow is a failure that is being written to the table.
type keptRow struct {
	id       int64
	keyed    bool
	repeatOf []byte
	args     []any // without the id
	kept     parley.KeptFailure
}

// Limits of the searchable copies: the length of AMQP's short strings, also when escaped, and some sentences.
const (
	nameLimit  = 1000
	errorLimit = 1000
)

func (r *keptRow) fill(consumer string, o *parley.Failure) error {
	if o.State != parley.FailureWaiting && o.State != parley.FailureParked {
		return fmt.Errorf("its state is %q (want waiting or parked)", o.State)
	}
	envelope, err := parley.EncodeEnvelope(&o.Message)
	if err != nil {
		return err
	}
	var delay, repeatOf any
	if o.State == parley.FailureWaiting {
		delay = seconds(o.After)
	}
	if len(o.RepeatOf) > 0 {
		repeatOf = o.RepeatOf
	}
	m, h := &o.Message, historyArgs(o.History)
	r.keyed, r.repeatOf = o.Key != "", o.RepeatOf
	r.args = append([]any{consumer, repeatOf, o.Key, string(o.State), o.Holds && o.State == parley.FailureParked, delay, capped(o.Begun)}, h...)
	r.args = append(r.args, o.Fingerprint, parley.CleanText(m.Exchange, nameLimit), parley.CleanText(m.RoutingKey, nameLimit),
		parley.CleanText(m.ID, nameLimit), o.Identity, parley.CleanText(m.CorrelationID, nameLimit), len(m.Body), envelope, notNil(m.Body))
	return nil
}

// historyArgs are the columns hops, attempts, replays, first_failure, last_failure, first_error, last_error and reason.
func historyArgs(h parley.History) []any {
	return []any{
		capped(h.Retries), capped(h.Attempts), capped(h.Replays), timeArg(h.FirstFailure), timeArg(h.LastFailure),
		parley.CleanText(h.FirstError, errorLimit), parley.CleanText(h.LastError, errorLimit), parley.CleanText(h.Reason, errorLimit),
	}
}

// capped limits a count to the column's type: a foreign history must not make a row that the table refuses.
func capped(n int) int { return max(0, min(n, math.MaxInt32)) }

// timeArg returns a time as text, or NULL if it is zero or cannot be written as a date.
func timeArg(t time.Time) any {
	if t = t.UTC(); t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return nil
	}
	return t.Format(time.RFC3339Nano)
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
