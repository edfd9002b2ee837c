package mysql

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// Blockers implements parley.BlockerInspector. The server does not report which transaction has locked a row unless another one
// waits for it. So Blockers returns the transactions of this database's sessions that have locked rows of any table for a
// second. The account needs the privilege PROCESS.
func (s *Store) Blockers(ctx context.Context) ([]parley.Blocker, error) {
	const q = `SELECT t.trx_mysql_thread_id, COALESCE(p.user, ''), COALESCE(p.host, ''), TIMESTAMPDIFF(MICROSECOND, t.trx_started, NOW(6))
 FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
 WHERE t.trx_rows_locked > 0 AND p.id <> CONNECTION_ID() AND p.db = DATABASE() AND t.trx_started < NOW() - INTERVAL 1 SECOND ORDER BY t.trx_started`
	var found []parley.Blocker
	err := sqlstore.Each(ctx, s.relay, q, nil, func(rows *sql.Rows) error {
		var b parley.Blocker
		var micros int64
		err := rows.Scan(&b.Session, &b.User, &b.Application, &micros)
		b.Open = time.Duration(micros) * time.Microsecond
		found = append(found, b)
		return err
	})
	return found, fail("find sessions that lock the outbox (this needs the privilege PROCESS)", err)
}

// Blockers implements parley.BlockerInspector; see [Store.Blockers].
func (s *DjangoStore) Blockers(ctx context.Context) ([]parley.Blocker, error) {
	return s.base.Blockers(ctx)
}

// A pythonWatch looks for relays of the Python library on the same table. They take no locks: they publish the records that this
// relay holds, and their DELETE waits for this relay's transaction and then finds no row.
type pythonWatch struct {
	mu      sync.Mutex // guards the field below
	checked time.Time
}

// pythonWatchInterval is how often a relay checks.
const pythonWatchInterval = 100 * time.Millisecond

// count returns how many sessions delete rows by their ids, as that relay does. Without the privilege PROCESS it sees only sessions
// of its own account. It returns 0 if the check fails.
func (w *pythonWatch) count(ctx context.Context, tx sqlstore.Tx) (n int) {
	w.mu.Lock()
	early := time.Since(w.checked) < pythonWatchInterval
	if !early {
		w.checked = time.Now()
	}
	w.mu.Unlock()
	if early {
		return 0
	}
	const q = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()" +
		" AND info LIKE 'DELETE FROM `" + DjangoTable + "`%`id` IN (%'"
	if tx.QueryRowContext(ctx, q).Scan(&n) != nil {
		return 0 // a settlement must not fail because of it
	}
	return n
}
