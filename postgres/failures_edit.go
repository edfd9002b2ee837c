package postgres

import (
	"context"
	"fmt"

	"github.com/parley-go/parley"
)

// Edit implements parley.FailureOperator.
func (f *failures[Tx]) Edit(ctx context.Context, id int64, body []byte) error {
	var consumer, key, state string
	edited := 0
	t := f.e.names.failed
	err := f.inTx(ctx, func(c ownTx) error {
		first := []statement{prepare(impatient)}
		entry, logs := parley.NewAction(ctx, parley.ActionEdit, parley.IDsText([]int64{id}))
		if logs {
			first = append(first, statement{
				query: "SELECT substr(body, 1, $2) FROM " + t + " WHERE id = $1 AND state <> 'running' FOR UPDATE",
				args:  []any{id, parley.ActionBodyLimit}, scan: func(row scanner) error { return row.Scan(&entry.Before) },
			})
		}
		first = append(first, statement{
			query: "UPDATE " + t + " SET body = $2, size = $3 WHERE id = $1 AND state <> 'running' RETURNING consumer, ordering_key",
			args:  []any{id, notNil(body), len(body)},
			scan: func(row scanner) error {
				edited++
				return row.Scan(&consumer, &key)
			},
		}, statement{query: "SELECT state FROM " + t + " WHERE id = $1", args: []any{id}, scan: func(row scanner) error { return row.Scan(&state) }})
		if err := c.all(ctx, first...); err != nil {
			return err
		}
		if !logs || edited == 0 {
			return c.finish(ctx)
		}
		entry.After, entry.Changed, entry.Cursor = notNil(body), 1, id
		return c.finish(ctx, f.e.logged(entry, new(int64)))
	})
	switch {
	case isLocked(err):
		err = parley.ErrRunning
	case err != nil:
		err = refused(err)
	case edited > 0:
		if key != "" {
			f.promoteAfter(ctx, consumer, []string{key}) // a promotion in the meantime has skipped the locked row
		}
		return nil
	case state == "":
		err = parley.ErrNoFailure
	default:
		err = parley.ErrRunning
	}
	return fmt.Errorf("postgres: edit failed delivery %d: %w", id, err)
}
