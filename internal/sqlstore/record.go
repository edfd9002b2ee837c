package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// EncodeTags returns tags as JSON, or nil without tags.
func EncodeTags(tags map[string]string) (any, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

// columns returns the columns that scanRecord reads, of the outbox as o.
func (d *Dialect) columns() string {
	return "o.id, " + d.Micros("o.created_at") + ", o.exchange, o.routing_key, o.kind, o.body, " + d.Micros("o.due_at") + ", o.tags, o.properties"
}

// records reads the records of a query.
func (e *Engine[T]) records(ctx context.Context, q queryer, query string, args []any) ([]parley.Record, error) {
	return e.recordsWithin(ctx, q, func(int) bool { return true }, query, args)
}

// recordsWithin reads the records of a query while room accepts their bodies.
func (e *Engine[T]) recordsWithin(ctx context.Context, q queryer, room func(body int) bool, query string, args []any) ([]parley.Record, error) {
	var out []parley.Record
	full := false
	err := Each(ctx, q, query, args, func(rows *sql.Rows) error {
		if full {
			return nil
		}
		r, err := scanRecord(rows)
		if full = !room(len(r.Body)); !full {
			out = append(out, r)
		}
		return err
	})
	return out, err
}

func scanRecord(rows *sql.Rows) (parley.Record, error) {
	var r parley.Record
	var created int64
	var due sql.NullInt64
	var kind string
	var body, props []byte
	var tags sql.NullString
	if err := rows.Scan(&r.ID, &created, &r.Exchange, &r.RoutingKey, &kind, &body, &due, &tags, &props); err != nil {
		return r, err
	}
	if tags.Valid {
		if err := json.Unmarshal([]byte(tags.String), &r.Tags); err != nil {
			return r, fmt.Errorf("read tags of record %d: %w", r.ID, err)
		}
	}
	if due.Valid {
		r.DueAt = time.UnixMicro(due.Int64).UTC()
	}
	r.CreatedAt = time.UnixMicro(created).UTC()
	r.Kind = parley.Kind(kind)
	r.Body = parley.FinishBody(r.Kind, r.ID, body)
	if err := DecodeProperties(props, &r.Message); err != nil {
		return r, fmt.Errorf("record %d: %w", r.ID, err)
	}
	if r.Timestamp.IsZero() {
		r.Timestamp = r.CreatedAt
	}
	return r, nil
}
