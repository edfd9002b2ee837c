package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

var (
	_ parley.FailureStore      = (*Failures)(nil)
	_ parley.FailureOperator   = (*Failures)(nil)
	_ parley.FailureTx[pgx.Tx] = (*Failures)(nil)
	_ parley.FailureStore      = (*SQLFailures)(nil)
	_ parley.FailureOperator   = (*SQLFailures)(nil)
	_ parley.FailureTx[Tx]     = (*SQLFailures)(nil)
)

// Failures is the table of failed deliveries in the database of a [Store]. It implements parley.FailureStore,
// parley.FailureOperator and parley.FailureTx. Its name is Config.FailedTable.
//
// Its own transactions use the connections of Config.RelayPool if it is set. So claims are renewed even if handlers use all
// other connections.
type Failures struct{ failures[pgx.Tx] }

// SQLFailures is Failures for database/sql.
type SQLFailures struct{ failures[Tx] }

// Failures returns the store's table of failed deliveries.
func (s *Store) Failures() *Failures {
	return &Failures{failures[pgx.Tx]{e: &s.engine, own: ownPooled(s.relay, beginReadCommitted)}}
}

// Failures returns the store's table of failed deliveries.
func (s *SQLStore) Failures() *SQLFailures {
	return &SQLFailures{failures[Tx]{e: &s.engine, own: ownSQL(cmp.Or(s.cfg.RelayDB, s.db), &sql.TxOptions{Isolation: sql.LevelReadCommitted})}}
}

// failures holds the statements on the table of failed deliveries. Each of its own transactions is READ COMMITTED, whatever the
// default of the sessions is. Statements that wait for a lock must see the changes that its holder has committed.
//
// No transaction waits for a row while it holds another one. The exception is Keep, which locks rows in the order of
// repeat_of. So there are no deadlocks.
type failures[Tx any] struct {
	e   *engine[Tx]
	own func(context.Context) (ownTx, error)
}

// Parts of conditions on the row named o. The planner uses a partial index only if the query has the same condition.
const (
	isKeyed = "o.ordering_key <> ''"
	// isLive means that later rows of the key must stay behind the row.
	isLive   = isKeyed + " AND (o.state <> 'parked' OR o.holds)"
	isKeyDue = isKeyed + " AND o.due_at IS NOT NULL"
	// isRunning means that the row is being handled: its lease has not expired.
	isRunning = isKeyDue + " AND o.state = 'running' AND o.due_at > statement_timestamp()"
)

// hasEarlier returns a condition: an earlier row of the same key is ahead of the row named f.
func (f *failures[Tx]) hasEarlier() string {
	return "(f.ordering_key <> '' AND EXISTS (SELECT 1 FROM " + f.e.names.failed + ` o WHERE o.consumer = f.consumer
 AND o.ordering_key = f.ordering_key AND ` + isLive + " AND o.id < f.id))"
}

// plans prevents scans of whole tables. A plan that was made while the table was small would be kept for as long as the
// session, so each statement is planned anew, which takes less time than a commit.
const plans = "set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true)," +
	" set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true), set_config('idle_in_transaction_session_timeout', '15000', true)"

const (
	// impatient limits waits for locks.
	impatient = "set_config('lock_timeout', '1000', true)"
	// durable makes a commit wait for the disk even if the session would not. remote_write, on and remote_apply are kept.
	durable = "set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')" +
		" THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
)

// prepare returns the first statement of a transaction.
func prepare(more ...string) statement {
	q := "SELECT concat(" + plans
	for _, m := range more {
		q += ", " + m
	}
	return statement{query: q + ")", scan: func(row scanner) error { return row.Scan(new(string)) }}
}

// inTx runs fn in a transaction of its own and rolls back if it fails. fn commits.
func (f *failures[Tx]) inTx(ctx context.Context, fn func(c ownTx) error) error {
	c, err := f.own(ctx)
	if err != nil {
		return err
	}
	defer c.rollback(context.WithoutCancel(ctx)) // a no-op after the commit
	return fn(c)
}

// run runs statements in a transaction of their own.
func (f *failures[Tx]) run(ctx context.Context, statements ...statement) error {
	return f.inTx(ctx, func(c ownTx) error {
		return c.finish(ctx, append([]statement{prepare()}, statements...)...)
	})
}

// KeysWithRows implements parley.FailureStore.
func (f *failures[Tx]) KeysWithRows(ctx context.Context, consumer string, keys []string) (map[string]bool, error) {
	found := map[string]bool{}
	if len(keys) == 0 {
		return found, nil
	}
	// LIMIT in LATERAL makes it one index lookup for each key, whatever the planner estimates.
	q := "SELECT k.name FROM unnest($2::text[]) k (name) CROSS JOIN LATERAL (SELECT 1 FROM " + f.e.names.failed +
		" o WHERE o.consumer = $1 AND o.ordering_key = k.name AND " + isLive + " LIMIT 1) x"
	err := f.inTx(ctx, func(c ownTx) error {
		return c.finish(ctx, prepare(), statement{query: q, args: []any{consumer, c.array(pointersTo(keys))}, scan: func(row scanner) error {
			var key string
			err := row.Scan(&key)
			found[key] = true
			return err
		}})
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: find failed deliveries of %d keys: %w", len(keys), err)
	}
	return found, nil
}

func pointersTo(texts []string) textArray {
	out := make(textArray, len(texts))
	for i := range texts {
		out[i] = &texts[i]
	}
	return out
}

// NextDue implements parley.FailureStore. An overdue row counts only if no open transaction has locked it. The handler of a
// long transaction has deleted its row, so its lease cannot be renewed and no consumer can claim it.
func (f *failures[Tx]) NextDue(ctx context.Context, consumer string) (wait time.Duration, ok bool, err error) {
	wait, ok, err = f.nextDue(ctx, consumer, "")
	due := err == nil && ok && wait <= 0
	if due {
		wait, ok, err = f.nextDue(ctx, consumer, " FOR KEY SHARE SKIP LOCKED")
	}
	if err != nil {
		return 0, false, fmt.Errorf("postgres: find the next due failed delivery: %w", err)
	}
	if due && !ok {
		return lockedWait, true, nil
	}
	return wait, ok, nil
}

// lockedWait is the delay before the next check while all due rows are locked: a consumer is claiming them, or a handler's
// transaction, which may still roll back, has deleted them.
const lockedWait = time.Second

func (f *failures[Tx]) nextDue(ctx context.Context, consumer, locking string) (wait time.Duration, ok bool, err error) {
	first := func(begun string) string {
		return "(SELECT due_at FROM " + f.e.names.failed + " WHERE consumer = $1 AND due_at IS NOT NULL AND begun " + begun +
			" ORDER BY due_at, id LIMIT 1" + locking + ")"
	}
	q := "SELECT extract(epoch FROM d - clock_timestamp())::float8 FROM (SELECT least(" + first(unsuspected) + ", " + first(suspected) + ") AS d) x WHERE d IS NOT NULL"
	err = f.run(ctx, statement{query: q, args: []any{consumer}, scan: func(row scanner) error {
		var seconds float64
		ok = true
		err := row.Scan(&seconds)
		wait = toDuration(seconds)
		return err
	}})
	return wait, ok, err
}

// Conditions on the column begun; see [parley.SuspectAfter] and the indexes.
const (
	unsuspected = "< 2"
	suspected   = ">= 2"
)

// seconds returns a duration as statements receive it.
func seconds(d time.Duration) float64 { return d.Seconds() }
