package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

const pauseColumns = "id, part, scope, name, until, extract(epoch FROM until - clock_timestamp())::float8, created_at, actor, host, reason"

func scanPause(row scanner) (p parley.Pause, err error) {
	var part, scope, name string
	var left float64
	err = row.Scan(&p.ID, &part, &scope, &name, &p.Until, &left, &p.CreatedAt, &p.By, &p.Host, &p.Reason)
	p.Part, p.Left, p.Until, p.CreatedAt = parley.PausePart(part), toDuration(left), p.Until.UTC(), p.CreatedAt.UTC()
	p.SetScope(scope, name)
	return p, err
}

// SetPause implements parley.ControlStore.
func (e *engine[Tx]) SetPause(ctx context.Context, p parley.Pause, d time.Duration) (out parley.Pause, err error) {
	if err := parley.CheckPause(&p, d); err != nil {
		return out, err
	}
	by, logs := parley.NewAction(ctx, parley.ActionPause, p.String()+" for "+d.String())
	by.Changed, by.Reason = 1, p.Reason
	by = by.Clean()
	scope, name := p.Scope()
	insert := "INSERT INTO " + e.names.control + " AS c (part, scope, name, until, actor, host, reason)" +
		" VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5, $6, $7)" +
		" ON CONFLICT (part, scope, name) DO UPDATE SET until = excluded.until, actor = excluded.actor, host = excluded.host, reason = excluded.reason RETURNING " + pauseColumns
	statements := []statement{
		{query: "DELETE FROM " + e.names.control + " WHERE until <= clock_timestamp()"},
		{query: insert, args: []any{string(p.Part), scope, name, seconds(d), by.By, by.Host, by.Reason}, scan: func(row scanner) (err error) {
			out, err = scanPause(row)
			return err
		}},
	}
	if logs {
		statements = append(statements, e.logged(by, new(int64)))
	}
	if err = e.run(ctx, statements...); err != nil {
		err = fmt.Errorf("postgres: pause %s: %w", &p, notReady(err))
	}
	return out, err
}

// EndPause implements parley.ControlStore.
func (e *engine[Tx]) EndPause(ctx context.Context, p parley.Pause) (out parley.Pause, err error) {
	if err := p.Check(); err != nil {
		return out, err
	}
	entry, logs := parley.NewAction(ctx, parley.ActionResume, p.String())
	scope, name := p.Scope()
	q := "DELETE FROM " + e.names.control + " WHERE part = $1 AND scope = $2 AND name = $3 RETURNING " + pauseColumns
	err = e.inTx(ctx, func(c ownTx) error {
		found := false
		err := c.all(ctx, statement{query: q, args: []any{string(p.Part), scope, name}, scan: func(row scanner) (err error) {
			found = true
			out, err = scanPause(row)
			return err
		}})
		if err == nil && (!found || out.Left <= 0) {
			return parley.ErrNoPause
		}
		if err == nil && logs {
			entry.Changed = 1
			err = c.all(ctx, e.logged(entry, new(int64)))
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("postgres: resume %s: %w", &p, notReady(err))
	}
	return out, nil
}

// Pauses implements parley.ControlStore.
func (e *engine[Tx]) Pauses(ctx context.Context) (out []parley.Pause, err error) {
	q := "SELECT " + pauseColumns + " FROM " + e.names.control + " WHERE until > clock_timestamp() ORDER BY id"
	err = e.run(ctx, statement{query: q, scan: func(row scanner) error {
		p, err := scanPause(row)
		out = append(out, p)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("postgres: read pauses: %w", notReady(err))
	}
	return out, nil
}

// notReady names the remedy for a missing table or right.
func notReady(err error) error {
	var e interface{ SQLState() string } // of every driver
	if !errors.As(err, &e) {
		return err
	}
	switch e.SQLState() {
	case "42P01", "42703":
		return fmt.Errorf(`%w (run "parley migrate up"): %w`, parley.ErrControlNotReady, err)
	case "42501":
		return fmt.Errorf("%w (grant SELECT on parley_control, and to operators SELECT, INSERT, UPDATE and DELETE on parley_control and parley_log): %w", parley.ErrControlNotReady, err)
	}
	return err
}
