package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// Blockers implements parley.BlockerInspector. It reports how long a transaction has been open only for sessions
// of the same role, unless this role is a member of pg_read_all_stats.
func (e *engine[Tx]) Blockers(ctx context.Context) ([]parley.Blocker, error) {
	return e.blockers(ctx, "(SELECT xmax FROM "+e.names.outbox+" WHERE due_at <= statement_timestamp() ORDER BY due_at, id LIMIT 1000)"+
		" UNION ALL (SELECT xmax FROM "+e.names.outbox+" WHERE due_at IS NULL ORDER BY id LIMIT 1000)")
}

// blockers finds the sessions that have locked the table as a whole, or else the transactions that have locked the rows whose
// xmax dueRows selects: each transaction holds a lock on its own number.
func (e *engine[Tx]) blockers(ctx context.Context, dueRows string) ([]parley.Blocker, error) {
	const session = " a.pid::bigint, coalesce(a.application_name, 'prepared transaction ' || p.gid, ''), coalesce(a.usename, p.owner, '')::text," +
		" coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)), 0)::float8, "
	const holders = " LEFT JOIN pg_stat_activity a ON a.pid = l.pid LEFT JOIN pg_prepared_xacts p ON p.transaction = l.transactionid" +
		" WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()"
	whole := "SELECT" + session + "0::bigint FROM pg_locks l" + holders + " AND l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database" +
		" WHERE datname = current_database()) AND l.relation = " + e.outboxID() + " AND l.mode IN ('ExclusiveLock', 'AccessExclusiveLock')"
	rows := "SELECT" + session + "count(*) FROM (" + dueRows + ") o JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = o.xmax" +
		holders + " GROUP BY 1, 2, 3, 4 ORDER BY 4 DESC, 1"
	found, err := e.askBlockers(ctx, whole)
	if err == nil && len(found) == 0 {
		found, err = e.askBlockers(ctx, rows)
	}
	if err != nil {
		return nil, fmt.Errorf("find sessions that lock the outbox: %w", err)
	}
	return found, nil
}

func (e *engine[Tx]) askBlockers(ctx context.Context, query string) (found []parley.Blocker, err error) {
	patience := statement{query: "SELECT " + byIndex + ", " + lockPatience, scan: func(row scanner) error { return row.Scan(new(string), new(string)) }}
	err = e.run(ctx, patience, statement{query: query, scan: func(row scanner) error {
		var b parley.Blocker
		var session *int64 // NULL for a prepared transaction
		var open float64
		err := row.Scan(&session, &b.Application, &b.User, &open, &b.Records)
		if session != nil {
			b.Session = *session
		}
		b.Open = toDuration(open)
		found = append(found, b)
		return err
	}})
	return found, err
}

// isLockTimeout reports whether a statement has failed because another transaction holds a lock.
func isLockTimeout(err error) bool {
	var e interface{ SQLState() string } // of every driver
	return errors.As(err, &e) && e.SQLState() == "55P03"
}

// explainPatience limits the search for the session that holds a lock.
const explainPatience = 5 * time.Second

// explainLock adds the sessions that hold the lock to a lock timeout. A statement that is prepared for the first time waits for
// a table without a lock timeout, until ctx ends.
func explainLock(ctx context.Context, err error, blockers func(context.Context) ([]parley.Blocker, error)) error {
	if !isLockTimeout(err) && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainPatience)
	defer cancel()
	found, lookErr := blockers(ctx)
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	if len(found) == 0 {
		return err
	}
	texts := make([]string, len(found))
	for i, b := range found {
		texts[i] = fmt.Sprintf("session %d, application_name %q, user %q, transaction open for %v", b.Session, b.Application, b.User, b.Open.Round(100*time.Millisecond))
	}
	return fmt.Errorf("%w (due records are locked by %s: end that transaction)", err, strings.Join(texts, "; "))
}
