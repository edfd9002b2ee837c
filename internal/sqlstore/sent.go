package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// A fitting says which rows are unchanged since a relay has read them.
type fitting struct {
	ids    []int64             // unchanged, and not locked by another transaction
	others []parley.SentRecord // changed, or another record with the same id
}

// fit classifies the rows that read finds under the ids of sent. read calls its function for each row.
func fit(sent []parley.SentRecord, read func(list string, row func(parley.SentRecord)) error) (fitting, error) {
	want := make(map[int64]parley.SentRecord, len(sent))
	ids := make([]int64, len(sent))
	for i, s := range sent {
		want[s.ID], ids[i] = s, s.ID
	}
	var f fitting
	err := Chunks(ids, func(list string) error {
		return read(list, func(is parley.SentRecord) {
			if want[is.ID].Unchanged(is) {
				f.ids = append(f.ids, is.ID)
			} else {
				f.others = append(f.others, is)
			}
		})
	})
	return f, err
}

// remaining returns the rows that still exist under the ids of sent.
func remaining(sent []parley.SentRecord, read func(list string, row func(parley.SentRecord)) error) ([]parley.SentRecord, error) {
	var out []parley.SentRecord
	ids := make([]int64, len(sent))
	for i, s := range sent {
		ids[i] = s.ID
	}
	err := Chunks(ids, func(list string) error {
		return read(list, func(is parley.SentRecord) { out = append(out, is) })
	})
	return out, err
}

// sentRows reads the columns that identify the rows with the ids of a list. lock ends the query.
func (e *Engine[T]) sentRows(ctx context.Context, tx Tx, lock string) func(list string, row func(parley.SentRecord)) error {
	d := &e.dialect
	q := "SELECT o.id, " + d.Micros("o.created_at") + ", " + d.Micros("o.due_at") + ", o.properties FROM " + d.ByID + " WHERE o.id IN "
	return func(list string, row func(parley.SentRecord)) error {
		err := Each(ctx, tx, q+list+lock, nil, func(rows *sql.Rows) error {
			var r parley.Record
			var created int64
			var due sql.NullInt64
			var props []byte
			if err := rows.Scan(&r.ID, &created, &due, &props); err != nil {
				return err
			}
			r.CreatedAt = time.UnixMicro(created)
			if due.Valid {
				r.DueAt = time.UnixMicro(due.Int64)
			}
			err := DecodeProperties(props, &r.Message)
			row(r.Sent())
			return err
		})
		if err != nil {
			return fmt.Errorf("read sent records: %w", err)
		}
		return nil
	}
}

// Delete removes records that the broker has accepted; see [parley.RelaySource].
func (e *Engine[T]) Delete(ctx context.Context, sent []parley.SentRecord) (deleted int, left []parley.SentRecord, err error) {
	if len(sent) == 0 {
		return 0, nil, nil
	}
	err = Own(ctx, e, func(tx T) error {
		left = nil
		found, err := fit(sent, e.sentRows(ctx, tx, e.dialect.LockFree))
		if err != nil {
			return err
		}
		if deleted, err = e.remove(ctx, tx, found.ids); err != nil {
			return err
		}
		if deleted < len(sent) {
			if left, err = remaining(sent, e.sentRows(ctx, tx, "")); err != nil {
				return err
			}
		}
		return e.dialect.DropTags(ctx, tx, found.ids)
	})
	return deleted, left, e.fail("delete sent records", err)
}

// Unchanged returns which of the ids belong to records that are equal in the table and in records. It is for a
// database without row locks, where a lease may have expired meanwhile.
func Unchanged[T Tx](ctx context.Context, e *Engine[T], tx Tx, records []parley.Record, ids []int64) (map[int64]bool, error) {
	found, err := fit(sentOf(records, ids), e.sentRows(ctx, tx, ""))
	return setOf(found.ids), err
}

func sentOf(records []parley.Record, ids []int64) []parley.SentRecord {
	wanted := setOf(ids)
	out := make([]parley.SentRecord, 0, len(ids))
	for i := range records {
		if wanted[records[i].ID] {
			out = append(out, records[i].Sent())
		}
	}
	return out
}

func setOf(ids []int64) map[int64]bool {
	set := make(map[int64]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}
