package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// everyState lists the states in the order of the statement.
var everyState = []parley.FailureState{parley.FailureWaiting, parley.FailureBehind, parley.FailureRunning, parley.FailureParked}

// A failureSearch builds the statement that selects the ids of the rows of a query.
type failureSearch struct {
	table string
	args  []any
}

func (s *failureSearch) arg(value any) string {
	s.args = append(s.args, value)
	return fmt.Sprintf("$%d", len(s.args))
}

// ids returns the statement for up to limit ids greater than after, in ascending order; a limit of 0 means no limit. It reads
// each state of each consumer by the index and merges the results: a million parked rows do not slow a search for a waiting one.
func (s *failureSearch) ids(q *parley.FailureQuery, after int64, limit int) string {
	condition := " f.id > " + s.arg(after)
	if q.UpTo > 0 {
		condition += " AND f.id <= " + s.arg(q.UpTo)
	}
	for _, c := range []struct{ column, value string }{
		{"fingerprint", q.Fingerprint}, {"exchange", q.Exchange}, {"routing_key", q.RoutingKey}, {"message_id", q.MessageID},
	} {
		if c.value != "" {
			condition += " AND f." + c.column + " = " + s.arg(parley.CleanText(c.value, nameLimit))
		}
	}
	tail := " ORDER BY id"
	if limit > 0 {
		tail += " LIMIT " + s.arg(limit)
	}
	if len(q.IDs) > 0 || q.Identity != "" {
		return s.named(q, condition, tail)
	}
	consumers := consumersOf(s.table)
	if q.Consumer != "" {
		consumers = "SELECT " + s.arg(q.Consumer) + "::text AS name"
	}
	states := q.States
	if len(states) == 0 {
		states = everyState
	}
	var parts []string
	for _, state := range states {
		if slices.Contains(everyState, state) {
			parts = append(parts, "SELECT x.id FROM c CROSS JOIN LATERAL (SELECT f.id FROM "+s.table+" f WHERE f.consumer = c.name AND f.state = '"+
				string(state)+"' AND"+condition+tail+") x")
		}
	}
	if len(parts) == 0 {
		return "SELECT NULL::bigint AS id WHERE false"
	}
	return "WITH c AS (" + consumers + ") SELECT id FROM (" + strings.Join(parts, " UNION ALL ") + ") y" + tail
}

// named returns the statement for rows of known ids or of one identity. OFFSET 0 keeps the planner from reading the whole table in the
// order of its ids, which it may prefer before the table is analyzed.
func (s *failureSearch) named(q *parley.FailureQuery, condition, tail string) string {
	if len(q.IDs) > 0 {
		condition += " AND f.id = ANY(" + s.arg(idList(q.IDs)) + "::text::bigint[])"
	}
	condition += statesAre(q.States)
	if q.Consumer != "" {
		condition += " AND f.consumer = " + s.arg(q.Consumer)
	}
	if q.Identity == "" {
		return "SELECT f.id FROM " + s.table + " f WHERE" + condition + tail
	}
	condition += " AND f.identity = " + s.arg(q.Identity) + " AND f.identity <> ''"
	return "SELECT id FROM (SELECT f.id FROM " + s.table + " f WHERE" + condition + " OFFSET 0) x" + tail
}

// statesAre returns a condition for the row named f; it is empty for any state.
func statesAre(states []parley.FailureState) string {
	if len(states) == 0 {
		return ""
	}
	var quoted []string
	for _, state := range everyState {
		if slices.Contains(states, state) {
			quoted = append(quoted, "'"+string(state)+"'")
		}
	}
	if len(quoted) == 0 {
		return " AND false"
	}
	return " AND f.state IN (" + strings.Join(quoted, ", ") + ")"
}

// consumersOf returns a query for the consumers that have rows: one index lookup for each of them.
func consumersOf(table string) string {
	next := func(condition string) string {
		return "(SELECT consumer FROM " + table + condition + " ORDER BY consumer LIMIT 1)"
	}
	return "WITH RECURSIVE n (name) AS (" + next("") + " UNION ALL SELECT " + next(" WHERE consumer > n.name") +
		" FROM n WHERE n.name IS NOT NULL) SELECT name FROM n WHERE name IS NOT NULL"
}

// List implements parley.FailureOperator.
func (f *failures[Tx]) List(ctx context.Context, q parley.FailureQuery, after int64, limit int) ([]parley.FailureRow, error) {
	s := failureSearch{table: f.e.names.failed}
	return f.list(ctx, " WHERE f.id = ANY(ARRAY("+s.ids(&q, after, limit)+")) ORDER BY f.id", s.args...)
}

// Newest implements parley.FailureOperator.
func (f *failures[Tx]) Newest(ctx context.Context, limit int) ([]parley.FailureRow, error) {
	return f.list(ctx, " ORDER BY f.id DESC LIMIT $1", limit)
}

// list returns the rows of a query on the table as f, which tail ends.
func (f *failures[Tx]) list(ctx context.Context, tail string, args ...any) ([]parley.FailureRow, error) {
	var out []parley.FailureRow
	text := "SELECT " + failureColumns + " FROM " + f.e.names.failed + " f" + tail
	err := f.run(ctx, statement{query: text, args: args, scan: func(row scanner) error {
		var v failureValues
		err := row.Scan(v.targets()...)
		r, _ := v.row() // unreadable rows are listed, too
		out = append(out, r)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("postgres: list failed deliveries: %w", err)
	}
	return out, nil
}

// Get implements parley.FailureOperator.
func (f *failures[Tx]) Get(ctx context.Context, id int64) (parley.FailureRow, error) {
	var out parley.FailureRow
	found := false
	text := "SELECT " + failureColumns + ", f.body FROM " + f.e.names.failed + " f WHERE f.id = $1"
	err := f.run(ctx, statement{query: text, args: []any{id}, scan: func(row scanner) error {
		var v failureValues
		var body []byte
		err := row.Scan(append(v.targets(), &body)...)
		out, _ = v.row()
		out.Message.Body = body
		found = true
		return err
	}})
	if err == nil && !found {
		err = parley.ErrNoFailure
	}
	if err != nil {
		return parley.FailureRow{}, fmt.Errorf("postgres: read failed delivery %d: %w", id, err)
	}
	return out, nil
}

// Consumers implements parley.FailureOperator.
func (f *failures[Tx]) Consumers(ctx context.Context) ([]string, error) {
	var out []string
	err := f.run(ctx, statement{query: consumersOf(f.e.names.failed), scan: func(row scanner) error {
		var name string
		err := row.Scan(&name)
		out = append(out, name)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("postgres: list consumers with failed deliveries: %w", err)
	}
	slices.Sort(out) // the database sorts by its collation
	return out, nil
}

// Stats implements parley.FailureOperator.
func (f *failures[Tx]) Stats(ctx context.Context, consumer string) (st parley.FailureStats, err error) {
	t := f.e.names.failed
	count := func(state parley.FailureState) string {
		return fmt.Sprintf("(SELECT count(*) FROM (SELECT 1 FROM %s f WHERE f.consumer = c.name AND f.state = '%s' LIMIT %d) x)", t, state, parley.FailureStatsCap)
	}
	overdue := func(begun string) string {
		return "(SELECT f.due_at FROM " + t + " f WHERE f.consumer = c.name AND f.due_at IS NOT NULL AND f.begun " + begun +
			" AND f.due_at <= statement_timestamp() AND f.state = 'waiting' ORDER BY f.due_at, f.id LIMIT 1)"
	}
	parked := "(SELECT f.parked_at FROM " + t + " f WHERE f.consumer = c.name AND f.state = 'parked' ORDER BY f.parked_at LIMIT 1)"
	consumers, args := consumersOf(t), []any(nil)
	if consumer != "" {
		consumers, args = "SELECT $1::text AS name", []any{consumer}
	}
	columns := []string{
		count(parley.FailureWaiting), count(parley.FailureBehind), count(parley.FailureRunning), count(parley.FailureParked),
		"least(" + overdue(unsuspected) + ", " + overdue(suspected) + ")", parked,
	}
	q := "WITH c AS (" + consumers + ") SELECT coalesce(sum(w), 0)::bigint, coalesce(sum(b), 0)::bigint, coalesce(sum(r), 0)::bigint, coalesce(sum(p), 0)::bigint," +
		" coalesce(extract(epoch FROM statement_timestamp() - min(due)), 0)::float8, coalesce(extract(epoch FROM statement_timestamp() - min(since)), 0)::float8" +
		" FROM (SELECT " + strings.Join(columns, ", ") + " FROM c) AS s (w, b, r, p, due, since)"
	err = f.run(ctx, statement{query: q, args: args, scan: func(row scanner) error {
		var waiting, parked float64
		err := row.Scan(&st.Waiting, &st.Behind, &st.Running, &st.Parked, &waiting, &parked)
		st.OldestWaiting, st.OldestParked = max(0, toDuration(waiting)), max(0, toDuration(parked))
		return err
	}})
	for _, n := range []*int64{&st.Waiting, &st.Behind, &st.Running, &st.Parked} {
		*n = min(*n, parley.FailureStatsCap)
	}
	if err != nil {
		err = fmt.Errorf("postgres: count failed deliveries: %w", err)
	}
	return st, err
}
