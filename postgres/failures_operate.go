package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// changeLimit is how many rows one transaction of an operator changes.
const changeLimit = 1000

// A bulkChange changes the rows that a query selects, except running ones, in the order of their ids and in steps. A step
// skips locked rows. They are changed afterwards, each in a transaction of its own, so that
// no transaction waits for a row while it holds another one.
type bulkChange[Tx any] struct {
	f     *failures[Tx]
	query parley.FailureQuery
	// statement changes the rows that are locked by "held", and returns id, consumer and key of each.
	statement func(changed int) (text string, args []any)
	// after is called after a commit, with the keys of the changed rows by consumer.
	after func(ctx context.Context, consumer string, keys []string)

	// action and filter are those of the entry in the action log.
	action, filter string

	changed int
	entry   int64   // of the action log, 0 before the first one is written
	left    []int64 // rows that were not changed
}

func (b *bulkChange[Tx]) run(ctx context.Context) error {
	if b.filter == "" {
		b.filter = b.query.String()
	}
	if b.query.UpTo <= 0 { // later rows are not included
		q := "SELECT coalesce(max(id), 0) FROM " + b.f.e.names.failed
		err := b.f.run(ctx, statement{query: q, scan: func(row scanner) error { return row.Scan(&b.query.UpTo) }})
		if err != nil || b.query.UpTo == 0 {
			return err
		}
	}
	for after := int64(0); ; {
		ids, err := b.find(ctx, after)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		after = ids[len(ids)-1]
		if err := b.step(ctx, ids, " SKIP LOCKED"); err != nil {
			return err
		}
	}
	again := b.left
	b.left = nil
	for _, id := range again {
		if err := b.step(ctx, []int64{id}, ""); isLocked(err) {
			b.left = append(b.left, id) // a handler is running
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (b *bulkChange[Tx]) find(ctx context.Context, after int64) (ids []int64, err error) {
	s := failureSearch{table: b.f.e.names.failed}
	text := s.ids(&b.query, after, changeLimit)
	err = b.f.run(ctx, statement{query: text, args: s.args, scan: func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}})
	return ids, err
}

// step changes rows in one transaction.
func (b *bulkChange[Tx]) step(ctx context.Context, ids []int64, locking string) error {
	change, args := b.statement(b.changed)
	q := "WITH held AS (SELECT f.id FROM " + b.f.e.names.failed + " f WHERE f.id = ANY($1::text::bigint[]) AND f.state <> 'running'" +
		statesAre(b.query.States) + " FOR UPDATE" + locking + ")" + change
	done := map[int64]bool{}
	keys := map[string][]string{}
	last := int64(0)
	err := b.f.inTx(ctx, func(c ownTx) error {
		err := c.all(ctx, prepare(impatient), statement{query: q, args: append([]any{idList(ids)}, args...), scan: func(row scanner) error {
			var id int64
			var consumer, key string
			err := row.Scan(&id, &consumer, &key)
			done[id], last = true, max(last, id)
			if key != "" {
				keys[consumer] = append(keys[consumer], key)
			}
			return err
		}})
		if err != nil {
			return err
		}
		return c.finish(ctx, b.logged(ctx, len(done), last)...)
	})
	if err != nil {
		return err
	}
	b.changed += len(done)
	for _, id := range ids {
		if !done[id] {
			b.left = append(b.left, id)
		}
	}
	for consumer, list := range keys {
		b.after(ctx, consumer, list)
	}
	return nil
}

// logged returns the statement that counts changed rows in the action log, if an operator changes them.
func (b *bulkChange[Tx]) logged(ctx context.Context, changed int, last int64) []statement {
	a, ok := parley.NewAction(ctx, b.action, b.filter)
	if !ok || changed == 0 {
		return nil
	}
	if a.ID == 0 {
		a.ID = b.entry
	}
	a.Changed, a.Cursor = int64(changed), last
	return []statement{b.f.e.logged(a, &b.entry)}
}

// isLocked reports whether a statement has failed because of the lock timeout.
func isLocked(err error) bool {
	var e interface{ SQLState() string } // of every driver
	return errors.As(err, &e) && e.SQLState() == "55P03"
}

// Replay implements parley.FailureOperator.
func (f *failures[Tx]) Replay(ctx context.Context, q parley.FailureQuery, every time.Duration) (int, error) {
	var start string
	err := f.run(ctx, statement{query: "SELECT clock_timestamp()::text", scan: func(row scanner) error { return row.Scan(&start) }})
	t := f.e.names.failed
	b := &bulkChange[Tx]{f: f, query: q, action: parley.ActionReplay, after: f.reorder, statement: func(changed int) (string, []any) {
		return ", n AS (SELECT f.id, row_number() OVER (ORDER BY f.id) - 1 + $2 AS slot, f.ordering_key = '' OR" +
			" row_number() OVER (PARTITION BY f.consumer, f.ordering_key ORDER BY f.id) = 1 AND NOT " + f.hasEarlier() +
			" AND NOT EXISTS (SELECT 1 FROM " + t + " o WHERE o.consumer = f.consumer AND o.ordering_key = f.ordering_key AND " + isRunning + ") AS first" +
			" FROM " + t + " f JOIN held USING (id))" +
			" UPDATE " + t + " f SET state = CASE WHEN n.first THEN 'waiting' ELSE 'behind' END, parked_at = NULL, holds = false, claimed_by = ''," +
			" due_at = CASE WHEN n.first THEN $3::text::timestamptz + make_interval(secs => n.slot * $4::float8) END," +
			" begun = 0, hops = 0, reason = '', replays = f.replays + 1 FROM n WHERE f.id = n.id RETURNING f.id, f.consumer, f.ordering_key", []any{changed, start, seconds(max(0, every))}
	}}
	if err == nil {
		err = b.run(ctx)
	}
	if err != nil {
		err = fmt.Errorf("postgres: replay failed deliveries: %w", err)
	}
	return b.changed, err
}

// Drop implements parley.FailureOperator.
func (f *failures[Tx]) Drop(ctx context.Context, q parley.FailureQuery) (dropped, running int, err error) {
	b := &bulkChange[Tx]{f: f, query: q, action: parley.ActionDrop, after: f.promoteAfter, statement: func(int) (string, []any) {
		return " DELETE FROM " + f.e.names.failed + " f USING held WHERE f.id = held.id RETURNING f.id, f.consumer, f.ordering_key", nil
	}}
	err = b.run(ctx)
	if err == nil && len(b.left) > 0 {
		count := "SELECT count(*) FROM " + f.e.names.failed + " f WHERE f.id = ANY($1::text::bigint[])" + statesAre(q.States)
		err = f.run(ctx, statement{query: count, args: []any{idList(b.left)}, scan: func(row scanner) error { return row.Scan(&running) }})
	}
	if err != nil {
		err = fmt.Errorf("postgres: drop failed deliveries: %w", err)
	}
	return b.changed, running, err
}

// Move implements parley.FailureOperator.
func (f *failures[Tx]) Move(ctx context.Context, from, to string) (int, error) {
	if to == "" {
		return 0, errors.New("postgres: move failed deliveries: the new consumer has no name")
	}
	if from == to {
		return 0, nil
	}
	b := &bulkChange[Tx]{f: f, query: parley.FailureQuery{Consumer: from}, action: parley.ActionMove, filter: "from=" + from + " to=" + to, after: func(ctx context.Context, _ string, keys []string) {
		f.promoteAfter(ctx, from, keys)
		f.reorder(ctx, to, keys)
	}, statement: func(int) (string, []any) {
		return " UPDATE " + f.e.names.failed + " f SET consumer = $2 FROM held WHERE f.id = held.id RETURNING f.id, f.consumer, f.ordering_key", []any{to}
	}}
	err := b.run(ctx)
	if err != nil {
		err = fmt.Errorf("postgres: move failed deliveries from %q to %q: %w", from, to, err)
	}
	return b.changed, err
}
