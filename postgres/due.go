package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

var _ parley.DueLister = (*Store)(nil)

// Due implements parley.DueLister. It reads at most limit entries of each index, and no bodies.
func (e *engine[Tx]) Due(ctx context.Context, limit int) (out []parley.Record, err error) {
	part := func(condition, order string) string {
		return fmt.Sprintf("(SELECT id, exchange, routing_key, kind, created_at, due_at FROM %s WHERE due_at %s ORDER BY %s LIMIT %d)", e.names.outbox, condition, order, limit)
	}
	q := "SELECT * FROM (" + part("IS NULL", "id") + " UNION ALL " + part("<= statement_timestamp()", "due_at, id") + fmt.Sprintf(") x ORDER BY due_at NULLS FIRST, id LIMIT %d", limit)
	list := statement{query: q, scan: func(row scanner) error {
		var r parley.Record
		var kind string
		var due *time.Time
		err := row.Scan(&r.ID, &r.Exchange, &r.RoutingKey, &kind, &r.CreatedAt, &due)
		if r.Kind = parley.Kind(kind); due != nil {
			r.DueAt = *due
		}
		out = append(out, r)
		return err
	}}
	if err := e.run(ctx, useIndexes, list); err != nil {
		return nil, fmt.Errorf("postgres: list due records: %w", err)
	}
	return out, nil
}
