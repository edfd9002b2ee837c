package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// pausesWhere returns the pauses of a condition.
func (e *Engine[T]) pausesWhere(ctx context.Context, q queryer, where string, args ...any) (out []parley.Pause, err error) {
	m := e.dialect.Micros
	text := "SELECT id, part, scope, name, " + m("until") + ", " + m("until") + " - " + m(e.dialect.Now) + ", " + m("created_at") +
		", actor, host, reason FROM parley_control WHERE " + where
	err = Each(ctx, q, text, args, func(rows *sql.Rows) error {
		var p parley.Pause
		var part, scope, name string
		var until, left, created int64
		err := rows.Scan(&p.ID, &part, &scope, &name, &until, &left, &created, &p.By, &p.Host, &p.Reason)
		p.Part, p.Left = parley.PausePart(part), time.Duration(left)*time.Microsecond
		p.Until, p.CreatedAt = time.UnixMicro(until).UTC(), time.UnixMicro(created).UTC()
		p.SetScope(scope, name)
		out = append(out, p)
		return err
	})
	return out, err
}

const samePause = "part = ? AND scope = ? AND name = ?"

func pauseArgs(p *parley.Pause) []any {
	scope, name := p.Scope()
	return []any{string(p.Part), scope, []byte(name)}
}

// SetPause pauses a part of a service; see [parley.ControlStore].
func (e *Engine[T]) SetPause(ctx context.Context, p parley.Pause, d time.Duration) (out parley.Pause, err error) {
	if err := parley.CheckPause(&p, d); err != nil {
		return out, err
	}
	for range 2 { // two operators may insert the same pause at once
		err = Own(ctx, e, func(tx T) (err error) {
			out, err = e.setPause(ctx, tx, &p, d)
			return err
		})
		if err == nil || !e.dialect.Duplicate(err) {
			break
		}
	}
	return out, e.fail("pause "+p.String(), e.notReady(err))
}

func (e *Engine[T]) setPause(ctx context.Context, tx T, p *parley.Pause, d time.Duration) (out parley.Pause, err error) {
	entry, logs := parley.NewAction(ctx, parley.ActionPause, p.String()+" for "+d.String())
	entry.Changed, entry.Reason = 1, p.Reason
	entry = entry.Clean()
	if _, err := tx.ExecContext(ctx, "DELETE FROM parley_control WHERE until <= "+e.dialect.Now); err != nil {
		return out, err
	}
	until := e.dialect.In(micros(d))
	n, err := Exec(ctx, tx, "UPDATE parley_control SET until = "+until+", actor = ?, host = ?, reason = ? WHERE "+samePause,
		append([]any{entry.By, entry.Host, entry.Reason}, pauseArgs(p)...)...)
	if err == nil && n == 0 {
		_, err = tx.ExecContext(ctx, "INSERT INTO parley_control (part, scope, name, until, created_at, actor, host, reason) VALUES (?, ?, ?, "+until+", "+e.dialect.Now+", ?, ?, ?)",
			append(pauseArgs(p), entry.By, entry.Host, entry.Reason)...)
	}
	if err == nil && logs {
		_, err = e.logged(ctx, tx, entry)
	}
	if err != nil {
		return out, err
	}
	found, err := e.pausesWhere(ctx, tx, samePause, pauseArgs(p)...)
	if err == nil && len(found) > 0 {
		out = found[0]
	}
	return out, err
}

// EndPause ends a pause; see [parley.ControlStore].
func (e *Engine[T]) EndPause(ctx context.Context, p parley.Pause) (out parley.Pause, err error) {
	if err := p.Check(); err != nil {
		return out, err
	}
	entry, logs := parley.NewAction(ctx, parley.ActionResume, p.String())
	entry.Changed = 1
	err = Own(ctx, e, func(tx T) error {
		found, err := e.pausesWhere(ctx, tx, samePause+" AND until > "+e.dialect.Now, pauseArgs(&p)...)
		if err != nil {
			return err
		}
		n, err := Exec(ctx, tx, "DELETE FROM parley_control WHERE "+samePause, pauseArgs(&p)...)
		if err == nil && (n == 0 || len(found) == 0) {
			return parley.ErrNoPause
		}
		if err == nil && logs {
			_, err = e.logged(ctx, tx, entry)
		}
		if err == nil {
			out = found[0]
		}
		return err
	})
	return out, e.fail("resume "+p.String(), e.notReady(err))
}

// Pauses returns the pauses that have not ended; see [parley.ControlStore].
func (e *Engine[T]) Pauses(ctx context.Context) (out []parley.Pause, err error) {
	err = Retry(ctx, e.dialect.Transient, func() (err error) {
		out, err = e.pausesWhere(ctx, e.db, "until > "+e.dialect.Now+" ORDER BY id")
		return err
	})
	return out, e.fail("read pauses", e.notReady(err))
}

// notReady names the remedy for a missing table.
func (e *Engine[T]) notReady(err error) error {
	if err != nil && e.dialect.Missing(err) {
		return fmt.Errorf(`%w (run "parley migrate up"): %w`, parley.ErrControlNotReady, err)
	}
	return err
}
