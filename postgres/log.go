package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

var (
	_ parley.ActionLog    = (*Store)(nil)
	_ parley.ActionLog    = (*SQLStore)(nil)
	_ parley.ControlStore = (*Store)(nil)
	_ parley.ControlStore = (*SQLStore)(nil)
)

// logged is the statement that writes an entry, or adds to an existing one. id gets the id of a new entry.
func (e *engine[Tx]) logged(a parley.Action, id *int64) statement {
	a = a.Clean()
	if a.ID != 0 {
		q := "UPDATE " + e.names.log + " SET changed = changed + $2, last_id = greatest(last_id, $3)," +
			" old_body = coalesce($4::bytea, old_body), new_body = coalesce($5::bytea, new_body) WHERE id = $1"
		return statement{query: q, args: []any{a.ID, a.Changed, a.Cursor, a.Before, a.After}}
	}
	q := "INSERT INTO " + e.names.log + " (actor, host, reason, action, filter, changed, old_body, new_body, state, last_id, up_to, total, detail)" +
		" VALUES ($1, $2, $3, $4, $5, $6, $7::bytea, $8::bytea, $9, $10, $11, $12, $13) RETURNING id"
	args := []any{a.By, a.Host, a.Reason, a.Name, a.Filter, a.Changed, a.Before, a.After, a.State, a.Cursor, a.UpTo, a.Total, a.Detail}
	return statement{query: q, args: args, scan: func(row scanner) error { return row.Scan(id) }}
}

// logIn counts scheduled records that an operator has changed, in the transaction of the change.
func (e *engine[Tx]) logIn(ctx context.Context, c conn, action, filter string, changed int) error {
	entry, logs := parley.NewAction(ctx, action, filter)
	if !logs || changed == 0 {
		return nil
	}
	entry.Changed = int64(changed)
	st := e.logged(entry, new(int64))
	if st.scan != nil {
		return c.query(ctx, st.query, st.scan, st.args...)
	}
	_, err := c.exec(ctx, st.query, st.args...)
	return err
}

// LogsSchedule implements parley.ScheduleLogger.
func (e *engine[Tx]) LogsSchedule() bool { return true }

// LogAction implements parley.ActionLog.
func (e *engine[Tx]) LogAction(ctx context.Context, a parley.Action) (id int64, err error) {
	a.ID = 0
	if err = e.run(ctx, e.logged(a, &id)); err != nil {
		return 0, fmt.Errorf("postgres: log an action: %w", notReady(err))
	}
	return id, nil
}

// UpdateAction implements parley.ActionLog.
func (e *engine[Tx]) UpdateAction(ctx context.Context, a parley.Action) error {
	a = a.Clean()
	q := "UPDATE " + e.names.log + " SET state = $2, up_to = $3, total = $4, detail = $5 WHERE id = $1"
	if err := e.run(ctx, statement{query: q, args: []any{a.ID, a.State, a.UpTo, a.Total, a.Detail}}); err != nil {
		return fmt.Errorf("postgres: update log entry %d: %w", a.ID, err)
	}
	return nil
}

// Actions implements parley.ActionLog.
func (e *engine[Tx]) Actions(ctx context.Context, q parley.ActionQuery) (out []parley.Action, err error) {
	s := failureSearch{}
	where := " WHERE true"
	if q.Before > 0 {
		where += " AND id < " + s.arg(q.Before)
	}
	if q.ID != 0 {
		where += " AND id = " + s.arg(q.ID)
	}
	if q.Running {
		where += " AND state = 'running'"
	}
	text := "SELECT id, at, actor, host, reason, action, filter, changed, old_body, new_body, state, last_id, up_to, total, detail FROM " +
		e.names.log + where + " ORDER BY id DESC LIMIT " + s.arg(q.Rows())
	err = e.run(ctx, statement{query: text, args: s.args, scan: func(row scanner) error {
		var a parley.Action
		err := row.Scan(&a.ID, &a.At, &a.By, &a.Host, &a.Reason, &a.Name, &a.Filter, &a.Changed, &a.Before, &a.After, &a.State, &a.Cursor, &a.UpTo, &a.Total, &a.Detail)
		a.At = a.At.UTC()
		out = append(out, a)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("postgres: read the action log: %w", notReady(err))
	}
	return out, nil
}

// SweepActions implements parley.ActionLog.
func (e *engine[Tx]) SweepActions(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	q := "DELETE FROM " + e.names.log + " WHERE id = ANY(ARRAY(SELECT id FROM " + e.names.log +
		" WHERE at < clock_timestamp() - make_interval(secs => $1) AND state <> 'running' ORDER BY at LIMIT $2))"
	if n, err = e.change(ctx, q, seconds(age), limit); err != nil {
		err = fmt.Errorf("postgres: delete old entries of the action log: %w", err)
	}
	return n, err
}
