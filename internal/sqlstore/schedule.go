package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// Cancel deletes the matching scheduled records within tx and returns how many; see
// [parley.OutboxStore].
func (e *Engine[T]) Cancel(ctx context.Context, tx T, s parley.Selection) (int, error) {
	ids, stale, err := e.change(ctx, tx, s)
	if err != nil {
		return 0, err
	}
	n, err := e.remove(ctx, tx, ids)
	if err != nil {
		return 0, err
	}
	if err := e.dialect.DropTags(ctx, tx, append(stale, ids...)); err != nil {
		return 0, err
	}
	return n, e.logSchedule(ctx, tx, parley.ActionCancelScheduled, s.String(), n)
}

// LogsSchedule implements parley.ScheduleLogger.
func (e *Engine[T]) LogsSchedule() bool { return true }

// logSchedule counts scheduled records that an operator has changed, in the transaction of the change.
func (e *Engine[T]) logSchedule(ctx context.Context, tx Tx, action, filter string, changed int) error {
	entry, logs := parley.NewAction(ctx, action, filter)
	if !logs || changed == 0 {
		return nil
	}
	entry.Changed = int64(changed)
	_, err := e.logged(ctx, tx, entry)
	return err
}

// Reschedule changes the due time of the matching scheduled records within tx and
// returns how many; see [parley.OutboxStore]. Like Cancel it skips records that a relay
// holds.
func (e *Engine[T]) Reschedule(ctx context.Context, tx T, s parley.Selection, due time.Time) (int, error) {
	if err := checkTime(due); err != nil {
		return 0, err
	}
	ids, _, err := e.change(ctx, tx, s)
	if err != nil {
		return 0, err
	}
	err = Chunks(ids, func(list string) error {
		_, err := tx.ExecContext(ctx, e.dialect.Update+"due_at = ? WHERE id IN "+list, e.dialect.Time(due))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("update due times: %w", err)
	}
	return len(ids), e.logSchedule(ctx, tx, parley.ActionMoveScheduled, parley.MoveText(s, due), len(ids))
}

// change returns the records that a caller may change.
func (e *Engine[T]) change(ctx context.Context, tx Tx, s parley.Selection) (ids, stale []int64, err error) {
	if err := e.dialect.BeforeChange(ctx, tx); err != nil {
		return nil, nil, err
	}
	found, stale, err := e.find(ctx, tx, s)
	for _, m := range found {
		if !m.held {
			ids = append(ids, m.id)
		}
	}
	return ids, stale, err
}

// Scheduled lists the matching scheduled records, soonest first; see [parley.OutboxStore].
// Tags without the full address are compared one record after another.
func (e *Engine[T]) Scheduled(ctx context.Context, tx T, s parley.Selection, limit int) ([]parley.Record, error) {
	if s.ID > 0 {
		q := "SELECT " + e.dialect.columns() + " FROM " + e.dialect.ByID + " WHERE o.id = ? AND o.due_at IS NOT NULL"
		return e.records(ctx, tx, q, []any{s.ID})
	}
	if len(s.Tags) > 0 && s.Exchange != "" && s.RoutingKey != "" {
		if list, enough, err := e.soonestTagged(ctx, tx, s, limit); enough || err != nil {
			return list, err
		}
		from, where, args, err := e.tagged(ctx, tx, s, e.dialect.Join)
		if err != nil {
			return nil, err
		}
		q := fmt.Sprintf("SELECT %s FROM %s WHERE %s AND o.due_at IS NOT NULL ORDER BY o.due_at, o.id LIMIT %d", e.dialect.columns(), from, where, limit)
		return e.records(ctx, tx, q, args)
	}
	q := "SELECT " + e.dialect.columns() + " FROM " + e.dialect.ByDue + " WHERE o.due_at IS NOT NULL"
	var args []any
	for _, c := range []struct{ column, value string }{{"exchange", s.Exchange}, {"routing_key", s.RoutingKey}} {
		if c.value != "" {
			q += " AND " + e.dialect.Exact("o."+c.column) + " = ?"
			args = append(args, c.value)
		}
	}
	q += " ORDER BY o.due_at, o.id"
	if len(s.Tags) == 0 {
		return e.records(ctx, tx, fmt.Sprintf("%s LIMIT %d", q, limit), args)
	}
	return filtered(ctx, tx, q, args, s.Tags, limit)
}

const (
	// commonTag is the number of records from which on the records of a tag are not sorted before the soonest were tried.
	commonTag = 2000
	// tagScan is how many of the soonest records are compared with common tags.
	tagScan = 2000
)

// soonestTagged reads the soonest records and returns those that match, if all tags are common: sorting a million records by their due
// time takes seconds. enough reports whether it found limit of them.
func (e *Engine[T]) soonestTagged(ctx context.Context, tx Tx, s parley.Selection, limit int) (out []parley.Record, enough bool, err error) {
	if limit > tagScan {
		return nil, false, nil
	}
	for _, d := range tagDigests(s) {
		var n int
		q := fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM parley_outbox_tags WHERE digest = ? LIMIT %d) c", commonTag)
		if err := tx.QueryRowContext(ctx, q, d).Scan(&n); err != nil {
			return nil, false, fmt.Errorf("count records with a tag: %w", err)
		}
		if n < commonTag {
			return nil, false, nil
		}
	}
	q := "SELECT " + e.dialect.columns() + " FROM " + e.dialect.ByDue + fmt.Sprintf(" WHERE o.due_at IS NOT NULL ORDER BY o.due_at, o.id LIMIT %d", tagScan)
	soonest, err := e.records(ctx, tx, q, nil)
	for i := range soonest {
		r := &soonest[i]
		if r.Exchange == s.Exchange && r.RoutingKey == s.RoutingKey && hasTags(r.Tags, s.Tags) && len(out) < limit {
			out = append(out, *r)
		}
	}
	return out, len(out) == limit, err
}

// filtered returns the first records that have the tags.
func filtered(ctx context.Context, tx Tx, q string, args []any, tags map[string]string, limit int) ([]parley.Record, error) {
	var out []parley.Record
	err := Each(ctx, tx, q, args, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		if err == nil && len(out) < limit && hasTags(r.Tags, tags) {
			out = append(out, r)
		}
		return err
	})
	return out, err
}

func hasTags(have, want map[string]string) bool {
	for name, value := range want {
		if got, ok := have[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// remove deletes records of the outbox and returns how many there were.
func (e *Engine[T]) remove(ctx context.Context, tx Tx, ids []int64) (removed int, err error) {
	err = Chunks(ids, func(list string) error {
		n, err := Exec(ctx, tx, e.dialect.Delete("parley_outbox", list))
		removed += n
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete records: %w", err)
	}
	return removed, nil
}
