package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// logged writes an entry of the action log within tx, or adds to an existing one. It returns the entry's id.
func (e *Engine[T]) logged(ctx context.Context, tx Tx, a parley.Action) (int64, error) {
	a = a.Clean()
	if a.ID != 0 {
		set, args := "changed = changed + ?, last_id = CASE WHEN last_id < ? THEN ? ELSE last_id END", []any{a.Changed, a.Cursor, a.Cursor}
		if a.Before != nil {
			set, args = set+", old_body = ?, new_body = ?", append(args, a.Before, a.After)
		}
		_, err := tx.ExecContext(ctx, "UPDATE parley_log SET "+set+" WHERE id = ?", append(args, a.ID)...)
		return a.ID, err
	}
	q := "INSERT INTO parley_log (at, actor, host, reason, action, filter, changed, old_body, new_body, state, last_id, up_to, total, detail) VALUES (" +
		e.dialect.Now + strings.Repeat(", ?", 13) + ")"
	res, err := tx.ExecContext(ctx, q, a.By, a.Host, a.Reason, a.Name, a.Filter, a.Changed, nullBytes(a.Before), nullBytes(a.After), a.State, a.Cursor, a.UpTo, a.Total, a.Detail)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func nullBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// LogAction writes an entry; see [parley.ActionLog].
func (e *Engine[T]) LogAction(ctx context.Context, a parley.Action) (id int64, err error) {
	a.ID = 0
	err = Own(ctx, e, func(tx T) (err error) {
		id, err = e.logged(ctx, tx, a)
		return err
	})
	return id, e.fail("log an action", e.notReady(err))
}

// UpdateAction sets the state of an entry; see [parley.ActionLog].
func (e *Engine[T]) UpdateAction(ctx context.Context, a parley.Action) error {
	a = a.Clean()
	err := Own(ctx, e, func(tx T) error {
		_, err := tx.ExecContext(ctx, "UPDATE parley_log SET state = ?, up_to = ?, total = ?, detail = ? WHERE id = ?", a.State, a.UpTo, a.Total, a.Detail, a.ID)
		return err
	})
	return e.fail(fmt.Sprintf("update log entry %d", a.ID), err)
}

// Actions returns entries, the newest first; see [parley.ActionLog].
func (e *Engine[T]) Actions(ctx context.Context, q parley.ActionQuery) (out []parley.Action, err error) {
	where := ""
	if q.Before > 0 {
		where += fmt.Sprintf(" AND id < %d", q.Before)
	}
	if q.ID != 0 {
		where += fmt.Sprintf(" AND id = %d", q.ID)
	}
	if q.Running {
		where += " AND state = 'running'"
	}
	text := "SELECT id, " + e.dialect.Micros("at") + ", actor, host, reason, action, filter, changed, old_body, new_body, state, last_id, up_to, total, detail" +
		" FROM parley_log WHERE id > 0" + where + fmt.Sprintf(" ORDER BY id DESC LIMIT %d", q.Rows())
	err = Retry(ctx, e.dialect.Transient, func() error {
		out = nil
		return Each(ctx, e.db, text, nil, func(rows *sql.Rows) error {
			var a parley.Action
			var at int64
			err := rows.Scan(&a.ID, &at, &a.By, &a.Host, &a.Reason, &a.Name, &a.Filter, &a.Changed, &a.Before, &a.After, &a.State, &a.Cursor, &a.UpTo, &a.Total, &a.Detail)
			a.At = time.UnixMicro(at).UTC()
			out = append(out, a)
			return err
		})
	})
	return out, e.fail("read the action log", e.notReady(err))
}

// SweepActions deletes old entries; see [parley.ActionLog].
func (e *Engine[T]) SweepActions(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = Own(ctx, e, func(tx T) error {
		var old []int64
		q := "SELECT id FROM parley_log WHERE at < " + e.dialect.In("-"+micros(max(0, age))) + " AND state <> 'running' ORDER BY at LIMIT ?"
		err := Each(ctx, tx, q, []any{limit}, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			old = append(old, id)
			return err
		})
		n = 0
		if err != nil {
			return err
		}
		return Chunks(old, func(list string) error {
			deleted, err := Exec(ctx, tx, e.dialect.Delete("parley_log", list))
			n += deleted
			return err
		})
	})
	return n, e.fail("delete old entries of the action log", err)
}

// operate counts rows that a function changes within a transaction in the action log, if an operator changes them.
func (e *Engine[T]) operate(ctx context.Context, tx Tx, action string, ids []int64, changed int) error {
	a, ok := parley.NewAction(ctx, action, parley.IDsText(ids))
	if !ok || changed == 0 {
		return nil
	}
	a.Changed = int64(changed)
	_, err := e.logged(ctx, tx, a)
	return err
}
