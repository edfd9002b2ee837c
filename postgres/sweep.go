package postgres

import (
	"context"
	"errors"
	"time"
)

// SweepInbox implements parley.InboxStore. It keeps the identity of a failed delivery as long as the delivery is in its table.
// If it were replayed after the retention, the message would have its effect a second time.
//
// The sweep writes a kept entry anew, so it checks the entry again only after another age. Otherwise each sweep would read
// past a million entries of parked messages.
func (e *engine[Tx]) SweepInbox(ctx context.Context, consumer string, age time.Duration, limit int) (n int, err error) {
	failed := false
	if err := e.run(ctx, e.mayReadFailed(&failed)); err != nil {
		return 0, err
	}
	if !failed {
		return e.sweepAll(ctx, consumer, age, limit)
	}
	for n < limit {
		seen, deleted, err := e.sweepStep(ctx, consumer, age, limit, limit-n)
		n += deleted
		if err != nil || seen < limit {
			return n, err
		}
	}
	return n, nil
}

// mayReadFailed checks whether there is a table of failed deliveries, and whether this role may read it: relays and
// consumers work without one as well.
func (e *engine[Tx]) mayReadFailed(may *bool) statement {
	q := "SELECT coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false)"
	return statement{query: q, args: []any{e.names.failed}, scan: func(row scanner) error { return row.Scan(may) }}
}

// sweepAll deletes up to limit identities of consumer.
func (e *engine[Tx]) sweepAll(ctx context.Context, consumer string, age time.Duration, limit int) (n int, err error) {
	q := "DELETE FROM " + e.names.inbox + " WHERE (consumer, identity) IN (SELECT consumer, identity FROM " + e.names.inbox +
		" WHERE consumer = $3 AND seen_at < statement_timestamp() - make_interval(secs => $1) ORDER BY seen_at LIMIT $2)"
	err = e.run(ctx, useIndexes, statement{query: q, args: []any{age.Seconds(), limit, consumer}, count: &n})
	return n, err
}

// sweepStep checks up to limit identities, and deletes up to room of them. Failures store long identities as hashes, so
// a long identity is kept as long as there is any failed delivery.
func (e *engine[Tx]) sweepStep(ctx context.Context, consumer string, age time.Duration, limit, room int) (seen, deleted int, err error) {
	t, failed := e.names.inbox, e.names.failed
	q := "WITH old AS MATERIALIZED (SELECT i.consumer, i.identity, i.identity <> '' AND EXISTS (SELECT 1 FROM " + failed +
		" f WHERE f.identity = i.identity AND f.identity <> '') OR octet_length(i.identity) > 1000 AND EXISTS (SELECT 1 FROM " + failed + ") AS kept FROM " + t +
		" i WHERE i.consumer = $4 AND i.seen_at < statement_timestamp() - make_interval(secs => $1) ORDER BY i.seen_at LIMIT $2)," +
		" gone AS (DELETE FROM " + t + " i USING (SELECT * FROM old WHERE kept UNION ALL (SELECT * FROM old WHERE NOT kept LIMIT $3)) o" +
		" WHERE i.consumer = o.consumer AND i.identity = o.identity RETURNING i.consumer, i.identity, o.kept)," +
		" again AS (INSERT INTO " + t + " (consumer, identity) SELECT consumer, identity FROM gone WHERE kept)" +
		" SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM gone WHERE NOT kept)"
	found := false
	err = e.run(ctx, useIndexes, statement{query: q, args: []any{age.Seconds(), limit, room, consumer}, scan: func(row scanner) error {
		found = true
		return row.Scan(&seen, &deleted)
	}})
	if err == nil && !found {
		err = errors.New("the sweep returned no row")
	}
	return seen, deleted, err
}
