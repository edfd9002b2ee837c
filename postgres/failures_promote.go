package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Promote implements parley.FailureTx.
func (f *failures[Tx]) Promote(ctx context.Context, consumer, key string) error {
	if key == "" {
		return nil
	}
	q := "UPDATE " + f.e.names.failed + " f SET state = 'waiting', due_at = clock_timestamp() WHERE f.id = (SELECT o.id FROM " +
		f.e.names.failed + " o WHERE o.consumer = $1 AND o.ordering_key = $2 AND " + isLive + " ORDER BY o.id LIMIT 1)" +
		" AND f.state = 'behind' AND NOT EXISTS (SELECT 1 FROM " + f.e.names.failed + " o WHERE o.consumer = $1 AND o.ordering_key = $2 AND " + isRunning + ")"
	if err := f.run(ctx, statement{query: q, args: []any{consumer, key}}); err != nil {
		return fmt.Errorf("postgres: promote the next failed delivery of a key: %w", err)
	}
	return nil
}

// promoteTimeout limits the work after a commit: its errors are not returned, and the process may be shutting down.
const promoteTimeout = 5 * time.Second

// promoteAfter promotes keys after a commit. It ignores errors, because the requested change is committed: Sweep promotes the keys later.
func (f *failures[Tx]) promoteAfter(ctx context.Context, consumer string, keys []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), promoteTimeout)
	defer cancel()
	slices.Sort(keys)
	switch keys = slices.Compact(keys); len(keys) {
	case 0:
	case 1:
		_ = f.Promote(ctx, consumer, keys[0])
	default:
		_ = f.inTx(ctx, func(c ownTx) error {
			return c.finish(ctx, prepare(), f.promoteAll(c, consumer, keys, nil))
		})
	}
}

const keysGiven = "unnest($2::text[]) k (name)"

// promoteAll promotes many keys. It skips locked rows, so that it never waits while it holds
// locks: the transaction that has locked a row promotes its key afterwards.
func (f *failures[Tx]) promoteAll(c conn, consumer string, keys []string, count *int) statement {
	return statement{query: f.promoteFrom("", keysGiven, ""), args: []any{consumer, c.array(pointersTo(keys))}, count: count}
}

// promoteFrom returns the statement that promotes the keys k.name of a source; $1 is the consumer.
func (f *failures[Tx]) promoteFrom(with, source, limit string) string {
	t := f.e.names.failed
	return "WITH " + with + "first AS (SELECT x.id FROM " + source + " CROSS JOIN LATERAL (SELECT o.id, o.state FROM " + t +
		" o WHERE o.consumer = $1 AND o.ordering_key = k.name AND " + isLive + " ORDER BY o.id LIMIT 1) x WHERE x.state = 'behind'" +
		" AND NOT EXISTS (SELECT 1 FROM " + t + " o WHERE o.consumer = $1 AND o.ordering_key = k.name AND " + isRunning + ")" + limit + ")," +
		" held AS (SELECT f.id FROM " + t + " f JOIN first USING (id) WHERE f.state = 'behind' FOR UPDATE OF f SKIP LOCKED)" +
		" UPDATE " + t + " f SET state = 'waiting', due_at = clock_timestamp() FROM held WHERE f.id = held.id"
}

// demoteAll puts waiting rows behind the first row of their key, after an earlier row was inserted.
func (f *failures[Tx]) demoteAll(c conn, consumer string, keys []string) statement {
	t := f.e.names.failed
	q := "WITH late AS (SELECT x.id FROM " + keysGiven + " CROSS JOIN LATERAL (SELECT o.id FROM " + t +
		" o WHERE o.consumer = $1 AND o.ordering_key = k.name AND " + isKeyDue + " AND o.state = 'waiting') x)," +
		" held AS (SELECT f.id FROM " + t + " f JOIN late USING (id) WHERE f.state = 'waiting' AND " + f.hasEarlier() + " FOR UPDATE OF f SKIP LOCKED)" +
		" UPDATE " + t + " f SET state = 'behind', due_at = NULL FROM held WHERE f.id = held.id"
	return statement{query: q, args: []any{consumer, c.array(pointersTo(keys))}}
}

// reorder makes the first row of each key the only one that is due, after rows were inserted before others. Like
// promoteAfter it runs after a commit.
func (f *failures[Tx]) reorder(ctx context.Context, consumer string, keys []string) {
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), promoteTimeout)
	defer cancel()
	_ = f.inTx(ctx, func(c ownTx) error {
		return c.finish(ctx, prepare(), f.demoteAll(c, consumer, keys), f.promoteAll(c, consumer, keys, nil))
	})
}

// Sweep implements parley.FailureStore.
func (f *failures[Tx]) Sweep(ctx context.Context, consumer string, retention time.Duration, limit int) (int, error) {
	t := f.e.names.failed
	next := func(after string) string {
		return "(SELECT o.ordering_key FROM " + t + " o WHERE o.consumer = $1 AND o.state = 'behind'" + after + " ORDER BY o.ordering_key LIMIT 1)"
	}
	// One index lookup for each key that has rows behind, however many rows there are.
	keys := "RECURSIVE k (name) AS (" + next("") + " UNION ALL SELECT " + next(" AND o.ordering_key > k.name") + " FROM k WHERE k.name IS NOT NULL), "
	promoted := 0
	err := f.run(ctx, statement{query: f.promoteFrom(keys, "k", " AND k.name <> '' LIMIT $2"), args: []any{consumer, limit}, count: &promoted})
	if err != nil {
		return 0, fmt.Errorf("postgres: promote failed deliveries: %w", err)
	}
	if retention <= 0 {
		return promoted, nil
	}
	deleted := 0
	var released []string
	q := "WITH old AS (SELECT id FROM " + t + " WHERE consumer = $1 AND state = 'parked' AND parked_at < statement_timestamp() - make_interval(secs => $2)" +
		" ORDER BY parked_at LIMIT $3 FOR UPDATE SKIP LOCKED) DELETE FROM " + t + " f USING old WHERE f.id = old.id RETURNING f.ordering_key, f.holds"
	err = f.run(ctx, statement{query: q, args: []any{consumer, seconds(retention), limit}, scan: func(row scanner) error {
		var key string
		var held bool
		err := row.Scan(&key, &held)
		deleted++
		if held && key != "" {
			released = append(released, key)
		}
		return err
	}})
	if err != nil {
		return promoted, fmt.Errorf("postgres: delete old parked deliveries: %w", err)
	}
	f.promoteAfter(ctx, consumer, released)
	return promoted + deleted, nil
}
