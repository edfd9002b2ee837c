package postgres

import (
	"context"
	"fmt"

	"github.com/parley-go/parley"
)

var (
	_ parley.OutboxSummarizer = (*Store)(nil)
	_ parley.LeaderInspector  = (*Store)(nil)
)

// Summary implements parley.OutboxSummarizer. It reads at most limit entries of each index.
func (e *engine[Tx]) Summary(ctx context.Context, limit int) (sum parley.OutboxSummary, err error) {
	count := func(from, condition, order string) string {
		return fmt.Sprintf("(SELECT count(*) FROM (SELECT 1 FROM %s%s ORDER BY %s LIMIT %d) x)", from, condition, order, limit)
	}
	first := func(column, condition, order string) string {
		return "(SELECT " + column + " FROM " + e.names.outbox + condition + " ORDER BY " + order + " LIMIT 1)"
	}
	const atOnce, due, later = " WHERE due_at IS NULL", " WHERE due_at <= statement_timestamp()", " WHERE due_at > statement_timestamp()"
	q := "SELECT " + count(e.names.outbox, atOnce, "id") + " + " + count(e.names.outbox, due, "due_at, id") +
		", " + count(e.names.outbox, later, "due_at, id") +
		", coalesce(extract(epoch FROM statement_timestamp() - least(" + first("created_at", atOnce, "id") + ", " + first("due_at", due, "due_at, id") + ")), 0)::float8" +
		", " + count(e.names.parked, "", "id") +
		", coalesce(extract(epoch FROM statement_timestamp() - (SELECT parked_at FROM " + e.names.parked + " ORDER BY id LIMIT 1)), 0)::float8"
	counts := statement{query: q, scan: func(row scanner) error {
		var oldest, parked float64
		err := row.Scan(&sum.Due, &sum.Scheduled, &oldest, &sum.Parked, &parked)
		sum.Due = min(sum.Due, int64(limit))
		sum.OldestDue, sum.OldestParked = max(0, toDuration(oldest)), max(0, toDuration(parked))
		return err
	}}
	last := statement{query: "SELECT id, record_id, parked_at, reason, exchange, routing_key, kind FROM " + e.names.parked + " ORDER BY id DESC LIMIT 1",
		scan: func(row scanner) error {
			var p parley.ParkedRecord
			var kind string
			err := row.Scan(&p.ID, &p.RecordID, &p.ParkedAt, &p.Reason, &p.Exchange, &p.RoutingKey, &kind)
			p.Kind = parley.Kind(kind)
			sum.LastParked = &p
			return err
		}}
	if err := e.run(ctx, useIndexes, counts, last); err != nil {
		return sum, fmt.Errorf("postgres: read the state of the outbox: %w", err)
	}
	return sum, nil
}

// Leader implements parley.LeaderInspector. A relay leads while it holds the lock of a batch, or the flag of a sleeping relay. Every
// role sees these locks; only members of pg_read_all_stats see the host of other roles' sessions.
func (e *engine[Tx]) Leader(ctx context.Context) (found *parley.RelayLeader, err error) {
	oid := "coalesce(" + e.outboxID() + "::oid, 0)"
	q := fmt.Sprintf(`WITH keys AS (SELECT hashtextextended(current_database() || %d::text || %[2]s, 0) AS lead, (%[3]d::bigint << 32) | %[2]s::bigint AS flag),
 held AS (SELECT pid, (classid::bigint << 32) | objid::bigint AS key FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
  AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
 SELECT h.pid::bigint, coalesce(a.application_name, ''), coalesce(a.usename, '')::text, coalesce(host(a.client_addr), ''), h.key = k.flag
 FROM held h JOIN keys k ON h.key IN (k.lead, k.flag) LEFT JOIN pg_stat_activity a ON a.pid = h.pid ORDER BY h.key = k.flag, h.pid LIMIT 1`,
		lockSpace(), oid, flagSpace)
	err = e.run(ctx, statement{query: q, scan: func(row scanner) error {
		found = &parley.RelayLeader{}
		return row.Scan(&found.Session, &found.Application, &found.User, &found.Host, &found.AtRest)
	}})
	if err != nil {
		return nil, fmt.Errorf("postgres: find the leading relay: %w", err)
	}
	return found, nil
}

// Summary implements parley.OutboxSummarizer. Django's table has no index for this, so only its first rows are counted.
func (s *django[Tx]) Summary(ctx context.Context, limit int) (sum parley.OutboxSummary, err error) {
	err = s.e.inTx(ctx, func(c ownTx) error {
		has, err := s.columns(ctx, c)
		if err != nil {
			return err
		}
		q := fmt.Sprintf(`SELECT count(*) FILTER (WHERE due <= now()), count(*) FILTER (WHERE due > now()), count(*) FILTER (WHERE due IS NULL),
 coalesce(extract(epoch FROM now() - min(due) FILTER (WHERE due <= now())), 0)::float8, count(*) FROM (SELECT %s AS due FROM %s ORDER BY id LIMIT %d) x`,
			dueTime(has), s.e.names.outbox, limit+1)
		return c.query(ctx, q, func(row scanner) error {
			var oldest float64
			var read int64
			err := row.Scan(&sum.Due, &sum.Scheduled, &sum.NeverDue, &oldest, &read)
			sum.OldestDue, sum.Partial = toDuration(oldest), read > int64(limit)
			return err
		})
	})
	sum.Parked = int64(len(s.skipped()))
	if err != nil {
		return sum, fmt.Errorf("postgres: read the state of the outbox: %w", err)
	}
	return sum, nil
}

// Leader implements parley.LeaderInspector; see [Store.Leader].
func (s *django[Tx]) Leader(ctx context.Context) (*parley.RelayLeader, error) { return s.e.Leader(ctx) }
