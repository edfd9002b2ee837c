package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// Due lists due records; see [parley.DueLister]. It reads at most limit entries of each part of the index, and no bodies.
func (e *Engine[T]) Due(ctx context.Context, limit int) (out []parley.Record, err error) {
	d := &e.dialect
	part := func(condition, order string) string {
		return fmt.Sprintf("SELECT * FROM (SELECT o.id, o.exchange, o.routing_key, o.kind, %s AS created, %s AS due FROM %s WHERE o.due_at %s ORDER BY %s LIMIT %d) AS x",
			d.Micros("o.created_at"), d.Micros("o.due_at"), d.ByDue, condition, order, limit)
	}
	q := part("IS NULL", "o.id") + " UNION ALL " + part("<= "+d.Now, "o.due_at, o.id")
	err = Retry(ctx, d.Transient, func() error {
		out = nil
		return Each(ctx, e.db, q, nil, func(rows *sql.Rows) error {
			var r parley.Record
			var kind string
			var created int64
			var due sql.NullInt64
			err := rows.Scan(&r.ID, &r.Exchange, &r.RoutingKey, &kind, &created, &due)
			if r.Kind, r.CreatedAt = parley.Kind(kind), time.UnixMicro(created).UTC(); due.Valid {
				r.DueAt = time.UnixMicro(due.Int64).UTC()
			}
			out = append(out, r)
			return err
		})
	})
	return out[:min(len(out), limit)], e.fail("list due records", err)
}
