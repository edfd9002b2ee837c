package postgres

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// A pythonWatch looks for relays of the Python library on the same table. They take no locks: they publish the records that this
// relay holds. Their DELETE waits for this relay's transaction and then finds no row, so the relay cannot notice it by missing rows.
type pythonWatch struct {
	mu sync.Mutex
	// mu guards the fields below.
	checked, reported time.Time
}

const (
	// pythonWatchInterval is how often a relay checks. The check is part of the round trip of a settlement.
	pythonWatchInterval = 100 * time.Millisecond
	// pythonWatchReports is how often it logs sessions that only look like such a relay.
	pythonWatchReports = time.Minute
)

// pythonWatchQuery counts three kinds of sessions: those that wait for rows of this transaction to delete them by id, those that wait
// with a hidden query, and those that look like a relay of the Python library. It also returns one of the latter.
const pythonWatchQuery = `WITH mine AS MATERIALIZED (SELECT transactionid FROM pg_locks WHERE locktype = 'transactionid' AND granted AND pid = pg_backend_pid()),
 waiting AS MATERIALIZED (SELECT DISTINCT l.pid FROM pg_locks l JOIN mine USING (transactionid) WHERE l.locktype = 'transactionid' AND NOT l.granted),
 a AS MATERIALIZED (SELECT s.pid, s.application_name, w.pid IS NOT NULL AS waits, s.query = '<insufficient privilege>' AS hidden,
 s.query LIKE 'DELETE FROM "services_communication_publishedeventqueue"%"id" IN (%' AS deletes,
 s.query ILIKE 'listen %eventqueued%' AND s.query NOT LIKE '%/* parley */%' OR s.query LIKE 'DELETE FROM "services_communication_publishedeventqueue"%"id" IN (%'
 AND s.state_change > clock_timestamp() - interval '1 minute' AS looks
 FROM pg_stat_activity s LEFT JOIN waiting w ON w.pid = s.pid WHERE s.datname = current_database() AND s.pid <> pg_backend_pid())
 SELECT count(*) FILTER (WHERE waits AND deletes), count(*) FILTER (WHERE waits AND hidden), count(*) FILTER (WHERE looks),
 coalesce(max(pid) FILTER (WHERE looks), 0)::bigint, coalesce(max(application_name) FILTER (WHERE looks), '') FROM a`

// pythonSeen is the result of one check.
type pythonSeen struct {
	deleting, hidden, looking int
	pid                       int64
	application               string
}

// look returns a statement for a settlement, unless it is too early for the next check.
func (w *pythonWatch) look(f *pythonSeen) []statement {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.checked) < pythonWatchInterval {
		return nil
	}
	w.checked = time.Now()
	return []statement{{query: pythonWatchQuery, scan: func(row scanner) error {
		return row.Scan(&f.deleting, &f.hidden, &f.looking, &f.pid, &f.application)
	}}}
}

// report returns how many records other relays have published too, as far as the check shows. A session with a hidden query may
// be a cancellation. Cancelling needs tags, so a batch without tags excludes that.
func (w *pythonWatch) report(ctx context.Context, log *slog.Logger, f pythonSeen, rows []parley.Record) int {
	n := f.deleting
	if f.hidden > 0 && !anyTags(rows) {
		n += f.hidden
	}
	if f.looking == 0 || !w.due() {
		return n
	}
	log.WarnContext(ctx, "postgres: runpublisher of the Python library seems to use the same table, records may be published twice (stop it)",
		"sessions", f.looking, "session", f.pid, "application_name", f.application)
	return max(n, 1)
}

func (w *pythonWatch) due() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.reported.IsZero() && time.Since(w.reported) < pythonWatchReports {
		return false
	}
	w.reported = time.Now()
	return true
}

func anyTags(rows []parley.Record) bool {
	for i := range rows {
		if len(rows[i].Tags) > 0 {
			return true
		}
	}
	return false
}
