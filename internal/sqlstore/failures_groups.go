package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
)

// FailureGroups groups parked rows; see [parley.FailureGrouper]. It goes from one fingerprint to the next by an index, and counts
// the entries of each in it.
func (f *Failures[T]) FailureGroups(ctx context.Context, consumer string, limit int) ([]parley.FailureGroup, error) {
	consumers, err := []string{consumer}, error(nil)
	if consumer == "" {
		consumers, err = f.consumers(ctx)
	}
	var out []parley.FailureGroup
	for _, name := range consumers {
		for last, more := "", err == nil; more && len(out) < limit; {
			var g parley.FailureGroup
			g, more, err = f.nextGroup(ctx, name, last, len(out) == 0 || out[len(out)-1].Consumer != name)
			if err != nil {
				return nil, f.fail("group failed deliveries", err)
			}
			if more {
				out, last = append(out, g), g.Fingerprint
			}
		}
	}
	return out, f.fail("group failed deliveries", err)
}

// nextGroup returns the group behind the fingerprint last, or the first one of the consumer.
func (f *Failures[T]) nextGroup(ctx context.Context, consumer, last string, first bool) (g parley.FailureGroup, ok bool, err error) {
	const of = " WHERE f.consumer = ? AND f.state = 'parked' AND f.fingerprint "
	behind := "> ?"
	if first {
		behind = ">= ?"
	}
	err = f.each(ctx, "SELECT f.fingerprint FROM "+f.table("group")+of+behind+" ORDER BY f.fingerprint LIMIT 1", []any{consumer, last},
		func() { ok = false }, func(rows *sql.Rows) error {
			ok = true
			return rows.Scan(&g.Fingerprint)
		})
	if err != nil || !ok {
		return g, false, err
	}
	g.Consumer = consumer
	in := f.table("group") + of + "= ?"
	q := fmt.Sprintf("SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM %s LIMIT %d) AS c), (SELECT f.id FROM %[1]s ORDER BY f.id LIMIT 1), (SELECT f.id FROM %[1]s ORDER BY f.id DESC LIMIT 1)",
		in, parley.FailureStatsCap)
	var ends [2]sql.NullInt64
	key := []any{consumer, g.Fingerprint}
	err = f.each(ctx, q, append(append(append([]any{}, key...), key...), key...), func() {}, func(rows *sql.Rows) error { return rows.Scan(&g.Count, &ends[0], &ends[1]) })
	if err != nil {
		return g, false, err
	}
	for i, id := range ends {
		row, err := f.Get(ctx, id.Int64)
		if errors.Is(err, parley.ErrNoFailure) {
			continue // replayed or dropped meanwhile
		}
		if err != nil {
			return g, false, err
		}
		if i == 0 {
			g.FirstID, g.FirstParked = row.ID, row.ParkedAt
			continue
		}
		g.LastID, g.LastParked, g.Exchange, g.RoutingKey = row.ID, row.ParkedAt, row.Message.Exchange, row.Message.RoutingKey
		if g.Error = row.History.LastError; g.Error == "" {
			g.Error = row.History.Reason
		}
	}
	return g, true, nil
}

// logged counts changed rows in the action log within tx, if an operator changes them. entry is the entry of the call, 0 before it is written.
func (f *Failures[T]) logged(ctx context.Context, tx Tx, action, filter string, idle []placedFailure, entry int64) (int64, error) {
	a, ok := parley.NewAction(ctx, action, filter)
	if !ok || len(idle) == 0 {
		return entry, nil
	}
	if a.ID == 0 {
		a.ID = entry
	}
	a.Changed = int64(len(idle))
	for _, p := range idle {
		a.Cursor = max(a.Cursor, p.id)
	}
	return f.engine.logged(ctx, tx, a)
}
