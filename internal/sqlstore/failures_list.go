package sqlstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// List lists rows without their bodies; see [parley.FailureOperator]. If an envelope is unreadable, the message has
// only the values of the columns.
func (f *Failures[T]) List(ctx context.Context, q parley.FailureQuery, after int64, limit int) (out []parley.FailureRow, err error) {
	err = Retry(ctx, f.d.Transient, func() error {
		out = nil
		found, err := f.find(ctx, &q, after, limit)
		if err != nil {
			return err
		}
		rows, err := f.load(ctx, f.db, found, "NULL")
		for i := range rows {
			out = append(out, rows[i].FailureRow)
		}
		return err
	})
	return out, f.fail("list failed deliveries", err)
}

// Newest returns the rows that were stored last; see [parley.FailureOperator].
func (f *Failures[T]) Newest(ctx context.Context, limit int) (out []parley.FailureRow, err error) {
	err = Retry(ctx, f.d.Transient, func() error {
		out = nil
		var found []int64
		q := fmt.Sprintf("SELECT f.id FROM %s ORDER BY f.id DESC LIMIT %d", f.table(""), limit)
		if err := Each(ctx, f.db, f.sql(q), nil, scanIDs(&found)); err != nil {
			return err
		}
		rows, err := f.load(ctx, f.db, found, "NULL")
		for i := range rows {
			out = append(out, rows[i].FailureRow)
		}
		return err
	})
	slices.SortFunc(out, func(a, b parley.FailureRow) int { return cmp.Compare(b.ID, a.ID) })
	return out, f.fail("list failed deliveries", err)
}

func scanIDs(to *[]int64) func(rows *sql.Rows) error {
	return func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		*to = append(*to, id)
		return err
	}
}

// Get returns one row; see [parley.FailureOperator].
func (f *Failures[T]) Get(ctx context.Context, id int64) (row parley.FailureRow, err error) {
	err = Retry(ctx, f.d.Transient, func() error {
		rows, err := f.load(ctx, f.db, []int64{id}, "b.body")
		if err == nil && len(rows) == 0 {
			err = parley.ErrNoFailure
		}
		if err == nil {
			row = rows[0].FailureRow
		}
		return err
	})
	return row, f.fail(fmt.Sprintf("read failed delivery %d", id), err)
}

// matching returns the conditions of a query on the table as f, each beginning with AND.
func (f *Failures[T]) matching(q *parley.FailureQuery) (where string, args []any) {
	for _, c := range []struct{ column, value string }{
		{"f.consumer", q.Consumer},
		{f.d.Exact("f.fingerprint"), q.Fingerprint},
		{f.d.Exact("f.exchange"), parley.CleanText(q.Exchange, failureTexts)},
		{f.d.Exact("f.routing_key"), parley.CleanText(q.RoutingKey, failureTexts)},
		{f.d.Exact("f.message_id"), parley.CleanText(q.MessageID, failureTexts)},
	} {
		if c.value != "" {
			where, args = where+" AND "+c.column+" = ?", append(args, c.value)
		}
	}
	if len(q.States) > 0 {
		var states []string
		for _, s := range q.States {
			states = append(states, string(s))
		}
		marks, values := Placeholders(states)
		where, args = where+" AND f.state IN ("+marks+")", append(args, values...)
	}
	switch {
	case q.Identity == "":
	case f.d.Digests:
		sum := sha256.Sum256([]byte(q.Identity))
		where, args = where+" AND f.identity_digest = ?", append(args, sum[:])
	default:
		where, args = where+" AND f.identity = ? AND f.identity <> ''", append(args, q.Identity)
	}
	if q.UpTo > 0 {
		where += fmt.Sprintf(" AND f.id <= %d", q.UpTo)
	}
	return where, args
}

// find returns the ids of up to limit matching rows above after, in ascending order. It reads
// them through the best index that is ordered by id.
func (f *Failures[T]) find(ctx context.Context, q *parley.FailureQuery, after int64, limit int) (found []int64, err error) {
	where, args := f.matching(q)
	read := func(index, first string, firstArgs ...any) error {
		query := fmt.Sprintf("SELECT f.id FROM %s WHERE f.id > %d%s%s ORDER BY f.id LIMIT %d", f.table(index), after, first, where, limit)
		return Each(ctx, f.db, f.sql(query), append(firstArgs, args...), func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			found = append(found, id)
			return err
		})
	}
	switch {
	case len(q.IDs) > 0:
		err = Chunks(q.IDs, func(list string) error { return read("", " AND f.id IN "+list) })
	case q.Identity != "":
		err = read("identity", "")
	case q.Fingerprint != "":
		err = read("fingerprint", " AND f.fingerprint = ? AND f.fingerprint <> ''", q.Fingerprint)
	case q.Consumer != "" || len(q.States) > 0:
		err = f.perState(ctx, q, func(consumer string, state parley.FailureState) error {
			return read("state", " AND f.consumer = ? AND f.state = ?", consumer, string(state))
		})
	default:
		err = read("", "")
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), limit)], err
}

var failureStates = []parley.FailureState{parley.FailureWaiting, parley.FailureBehind, parley.FailureRunning, parley.FailureParked}

// perState calls fn for each state and consumer of a query.
func (f *Failures[T]) perState(ctx context.Context, q *parley.FailureQuery, fn func(consumer string, state parley.FailureState) error) error {
	consumers, states := []string{q.Consumer}, q.States
	if q.Consumer == "" {
		var err error
		if consumers, err = f.consumers(ctx); err != nil {
			return err
		}
	}
	if len(states) == 0 {
		states = failureStates
	}
	for _, consumer := range consumers {
		for _, state := range states {
			if err := fn(consumer, state); err != nil {
				return err
			}
		}
	}
	return nil
}

// Consumers lists the names of all consumers that have rows, sorted; see [parley.FailureOperator].
func (f *Failures[T]) Consumers(ctx context.Context) ([]string, error) {
	names, err := f.consumers(ctx)
	return names, f.fail("list consumers", err)
}

func (f *Failures[T]) consumers(ctx context.Context) (names []string, err error) {
	err = f.each(ctx, f.d.Consumers, nil, func() { names = nil }, scanStrings(&names))
	slices.Sort(names)
	return names, err
}

func scanStrings(to *[]string) func(rows *sql.Rows) error {
	seen := map[string]bool{}
	return func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		if len(*to) == 0 {
			clear(seen) // the query starts again
		}
		if !seen[s] {
			seen[s] = true
			*to = append(*to, s)
		}
		return err
	}
}

// Stats counts rows; see [parley.FailureOperator].
func (f *Failures[T]) Stats(ctx context.Context, consumer string) (st parley.FailureStats, err error) {
	consumers := []string{consumer}
	if consumer == "" {
		consumers, err = f.consumers(ctx)
	}
	for _, name := range consumers {
		if err == nil {
			err = f.addStats(ctx, name, &st)
		}
	}
	return st, f.fail("count failed deliveries", err)
}

func (f *Failures[T]) addStats(ctx context.Context, consumer string, st *parley.FailureStats) error {
	counts := []*int64{&st.Waiting, &st.Behind, &st.Running, &st.Parked}
	var parts []string
	var args []any
	for i, state := range failureStates {
		parts = append(parts, fmt.Sprintf("SELECT %d AS part, COUNT(*) AS n FROM (SELECT 1 FROM %s WHERE f.consumer = ? AND f.state = '%s' LIMIT %d) AS c",
			i, f.table("state"), state, parley.FailureStatsCap))
		args = append(args, consumer)
	}
	now := f.d.Micros(f.d.Now)
	parts = append(parts,
		f.d.Part(fmt.Sprintf("SELECT 10 AS part, %s - %s AS n FROM %s WHERE f.consumer = ? AND f.state = 'waiting' AND f.due_at IS NOT NULL ORDER BY f.due_at, f.id LIMIT 1",
			now, f.d.Micros("f.due_at"), f.table("due"))),
		f.d.Part(fmt.Sprintf("SELECT 11 AS part, %s - %s AS n FROM %s WHERE f.consumer = ? AND f.parked_at IS NOT NULL ORDER BY f.parked_at, f.id LIMIT 1",
			now, f.d.Micros("f.parked_at"), f.table("parked"))))
	args = append(args, consumer, consumer)
	var values map[int]int64
	err := f.each(ctx, strings.Join(parts, " UNION ALL "), args, func() { values = map[int]int64{} }, func(rows *sql.Rows) error {
		var part int
		var n int64
		err := rows.Scan(&part, &n)
		values[part] = n
		return err
	})
	for i, count := range counts {
		*count = min(*count+values[i], parley.FailureStatsCap)
	}
	st.OldestWaiting = max(st.OldestWaiting, toDuration(values[10]))
	st.OldestParked = max(st.OldestParked, toDuration(values[11]))
	return err
}
