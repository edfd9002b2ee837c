package postgres

import (
	"context"
	"fmt"

	"github.com/parley-go/parley"
)

var (
	_ parley.FailureGrouper = (*Failures)(nil)
	_ parley.FailureGrouper = (*SQLFailures)(nil)
)

// FailureGroups implements parley.FailureGrouper. It goes from one fingerprint to the next by the index of parked rows, and counts
// the entries of each in it.
func (f *failures[Tx]) FailureGroups(ctx context.Context, consumer string, limit int) (out []parley.FailureGroup, err error) {
	s := failureSearch{table: f.e.names.failed}
	of := ""
	if consumer != "" {
		of = " AND f.consumer = " + s.arg(consumer)
	}
	next := func(condition string) string {
		return "(SELECT f.consumer, f.fingerprint FROM " + s.table + " f WHERE f.state = 'parked'" + of + condition + " ORDER BY f.consumer, f.fingerprint LIMIT 1)"
	}
	const in = " f WHERE f.state = 'parked' AND f.consumer = g.consumer AND f.fingerprint = g.fingerprint"
	row := func(order string) string {
		return " CROSS JOIN LATERAL (SELECT f.id, f.parked_at, f.exchange, f.routing_key, f.last_error, f.reason FROM " + s.table + in + " ORDER BY f.id" + order + " LIMIT 1) "
	}
	groups := "WITH RECURSIVE g (consumer, fingerprint) AS (" + next("") + " UNION ALL SELECT n.consumer, n.fingerprint FROM g CROSS JOIN LATERAL " +
		next(" AND (f.consumer, f.fingerprint) > (g.consumer, g.fingerprint)") + " n) SELECT * FROM g LIMIT " + s.arg(limit)
	q := "SELECT g.consumer, g.fingerprint, c.n, a.id, a.parked_at, z.id, z.parked_at, z.exchange, z.routing_key, coalesce(nullif(z.last_error, ''), z.reason)" +
		" FROM (" + groups + ") g CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT 1 FROM " + s.table + in +
		fmt.Sprintf(" LIMIT %d) x) c", parley.FailureStatsCap) + row("") + "a" + row(" DESC") + "z ORDER BY g.consumer, g.fingerprint"
	err = f.run(ctx, statement{query: q, args: s.args, scan: func(row scanner) error {
		var g parley.FailureGroup
		err := row.Scan(&g.Consumer, &g.Fingerprint, &g.Count, &g.FirstID, &g.FirstParked, &g.LastID, &g.LastParked, &g.Exchange, &g.RoutingKey, &g.Error)
		g.FirstParked, g.LastParked = g.FirstParked.UTC(), g.LastParked.UTC()
		out = append(out, g)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("postgres: group failed deliveries: %w", err)
	}
	return out, nil
}
