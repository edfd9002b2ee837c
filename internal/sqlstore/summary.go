package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// Summary returns the state of the outbox; see [parley.OutboxSummarizer]. It reads at most limit entries of each index.
func (e *Engine[T]) Summary(ctx context.Context, limit int) (sum parley.OutboxSummary, err error) {
	err = Retry(ctx, e.dialect.Transient, func() error {
		sum = parley.OutboxSummary{}
		if err := e.summarizeDue(ctx, limit, &sum); err != nil {
			return err
		}
		return e.summarizeParked(ctx, limit, &sum)
	})
	return sum, e.fail("read the state of the outbox", err)
}

func (e *Engine[T]) summarizeDue(ctx context.Context, limit int, sum *parley.OutboxSummary) error {
	d := &e.dialect
	count := func(condition string) string {
		return fmt.Sprintf("(SELECT COUNT(*) FROM (SELECT 1 FROM %s WHERE o.due_at %s LIMIT %d) AS c)", d.ByDue, condition, limit)
	}
	age := func(column, condition, order string) string {
		return fmt.Sprintf("(SELECT %s - %s FROM %s WHERE o.due_at %s ORDER BY %s LIMIT 1)", d.Micros(d.Now), d.Micros(column), d.ByDue, condition, order)
	}
	due := "<= " + d.Now
	q := "SELECT " + count("IS NULL") + ", " + count(due) + ", " + count("> "+d.Now) +
		", " + age("o.created_at", "IS NULL", "o.id") + ", " + age("o.due_at", due, "o.due_at, o.id")
	return Each(ctx, e.db, q, nil, func(rows *sql.Rows) error {
		var atOnce, timed int64
		var first, second sql.NullInt64
		err := rows.Scan(&atOnce, &timed, &sum.Scheduled, &first, &second)
		sum.Due = min(atOnce+timed, int64(limit))
		sum.OldestDue = max(0, toDuration(first.Int64), toDuration(second.Int64))
		return err
	})
}

func (e *Engine[T]) summarizeParked(ctx context.Context, limit int, sum *parley.OutboxSummary) error {
	d := &e.dialect
	q := fmt.Sprintf("SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM parley_parked LIMIT %d) AS c), (SELECT %s - %s FROM parley_parked ORDER BY id LIMIT 1)",
		limit, d.Micros(d.Now), d.Micros("parked_at"))
	err := Each(ctx, e.db, q, nil, func(rows *sql.Rows) error {
		var oldest sql.NullInt64
		err := rows.Scan(&sum.Parked, &oldest)
		sum.OldestParked = max(0, toDuration(oldest.Int64))
		return err
	})
	if err != nil || sum.Parked == 0 {
		return err
	}
	q = "SELECT id, record_id, " + d.Micros("parked_at") + ", reason, exchange, routing_key, kind FROM parley_parked ORDER BY id DESC LIMIT 1"
	return Each(ctx, e.db, q, nil, func(rows *sql.Rows) error {
		var p parley.ParkedRecord
		var at int64
		var kind string
		err := rows.Scan(&p.ID, &p.RecordID, &at, &p.Reason, &p.Exchange, &p.RoutingKey, &kind)
		p.ParkedAt, p.Kind = time.UnixMicro(at).UTC(), parley.Kind(kind)
		sum.LastParked = &p
		return err
	})
}

// Summary implements parley.OutboxSummarizer. Django's table has no index for this, so only its first rows are counted.
func (s *Django[T]) Summary(ctx context.Context, limit int) (sum parley.OutboxSummary, err error) {
	err = Retry(ctx, s.d.Transient, func() error {
		sum = parley.OutboxSummary{}
		has, err := s.columns(ctx, s.engine.db)
		if err != nil {
			return err
		}
		count := "coalesce(sum(CASE WHEN due %s THEN 1 ELSE 0 END), 0)"
		q := fmt.Sprintf("SELECT "+count+", "+count+", "+count, "<= "+s.d.Now, "> "+s.d.Now, "IS NULL") +
			fmt.Sprintf(", %s, %s, count(*) FROM (SELECT %s AS due FROM %s ORDER BY id LIMIT %d) AS c", s.d.Text("min(due)"), s.d.Text(s.d.Now), s.due(has), DjangoTable, limit+1)
		return Each(ctx, s.engine.db, q, nil, func(rows *sql.Rows) error {
			var first, now sql.NullString
			var read int64
			err := rows.Scan(&sum.Due, &sum.Scheduled, &sum.NeverDue, &first, &now, &read)
			if a, b := readTime(first), readTime(now); a != nil && b != nil {
				sum.OldestDue = max(b.Sub(*a), 0)
			}
			sum.Partial = read > int64(limit)
			return err
		})
	})
	s.mu.Lock()
	sum.Parked = int64(len(s.skip))
	s.mu.Unlock()
	return sum, Fail(s.d.Package, "read the state of the outbox", err)
}
