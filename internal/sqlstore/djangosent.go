package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/parley-go/parley"
)

// sentRows reads the columns that identify the rows with the ids of a list: they have no message id. lock ends the query.
func (s *Django[T]) sentRows(ctx context.Context, tx Tx, lock string) (func(list string, row func(parley.SentRecord)) error, error) {
	has, err := s.columns(ctx, tx)
	if err != nil {
		return nil, err
	}
	q := "SELECT id, " + s.d.Text("create_time") + ", " + s.d.Text(s.due(has)) + " FROM " + s.d.ByID + " WHERE id IN "
	return func(list string, row func(parley.SentRecord)) error {
		err := Each(ctx, tx, q+list+lock, nil, func(rows *sql.Rows) error {
			var r parley.Record
			var created, due sql.NullString
			if err := rows.Scan(&r.ID, &created, &due); err != nil {
				return err
			}
			if t := readTime(created); t != nil {
				r.CreatedAt = *t
			}
			if t := readTime(due); t != nil {
				r.DueAt = *t
			}
			row(r.Sent())
			return nil
		})
		if err != nil {
			return fmt.Errorf("read sent rows: %w", err)
		}
		return nil
	}, nil
}

// Delete implements parley.RelaySource.
func (s *Django[T]) Delete(ctx context.Context, sent []parley.SentRecord) (deleted int, left []parley.SentRecord, err error) {
	if len(sent) == 0 {
		return 0, nil, nil
	}
	err = Own(ctx, &s.engine, func(tx T) error {
		left = nil
		read, err := s.sentRows(ctx, tx, s.d.LockFree)
		if err != nil {
			return err
		}
		found, err := fit(sent, read)
		if err != nil {
			return err
		}
		if deleted, err = s.remove(ctx, tx, found.ids); err != nil || deleted == len(sent) {
			return err
		}
		if read, err = s.sentRows(ctx, tx, ""); err == nil {
			left, err = remaining(sent, read)
		}
		return err
	})
	return deleted, left, Fail(s.d.Package, "delete sent rows", err)
}

// UnchangedDjango is [Unchanged] for Django's table.
func UnchangedDjango[T Tx](ctx context.Context, s *Django[T], tx Tx, rows []parley.Record, ids []int64) (map[int64]bool, error) {
	read, err := s.sentRows(ctx, tx, "")
	if err != nil {
		return nil, err
	}
	found, err := fit(sentOf(rows, ids), read)
	return setOf(found.ids), err
}
