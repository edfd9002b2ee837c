package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// selected are the columns of a row, whatever the version of the table.
func (s *django[Tx]) selected(has map[string]bool) string {
	return strings.Join([]string{
		"id", "create_time", "exchange", "routing_key", dueTime(has), optional(has, "tags", "text"),
		"coalesce(" + optional(has, "is_new_style", "boolean") + ", false)", optional(has, "body", "text"), optional(has, "properties", "text"),
		"coalesce(" + optional(has, "event_time", "timestamptz") + ", " + optional(has, "send_after_time", "timestamptz") + ")",
		optional(has, "aggregate", "text"), optional(has, "event_type", "text"), optional(has, "payload", "text"),
	}, ", ")
}

func (s *django[Tx]) records(ctx context.Context, c conn, room func(body int) bool, q string, args ...any) ([]parley.Record, error) {
	var out []parley.Record
	full := false
	err := c.query(ctx, q, func(row scanner) error {
		if full {
			return nil
		}
		var r parley.Record
		var d sqlstore.DjangoRow
		err := row.Scan(&r.ID, &r.CreatedAt, &r.Exchange, &r.RoutingKey, &d.Due, &d.Tags, &d.NewStyle, &d.Body, &d.Properties,
			&d.EventTime, &d.Aggregate, &d.EventType, &d.Payload)
		if err == nil {
			d.Fill(&r)
		}
		r.AppID = s.cfg.AppID
		if full = !room(len(r.Body)); !full {
			out = append(out, r)
		}
		return err
	}, args...)
	return out, err
}

// Claim implements parley.RelaySource; see [Store].
func (s *django[Tx]) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	c, err := s.e.own(ctx)
	if err != nil {
		return nil, err
	}
	b := &djangoBatch[Tx]{s: s, c: c}
	if err := b.claim(ctx, o); err != nil {
		return nil, errors.Join(err, b.Release(context.WithoutCancel(ctx)))
	}
	return b, nil
}

type djangoBatch[Tx any] struct {
	s    *django[Tx]
	c    ownTx
	rows []parley.Record
	done bool
}

func (b *djangoBatch[Tx]) claim(ctx context.Context, o parley.ClaimOptions) error {
	if err := b.s.e.lock(ctx, b.c, o.Mode); err != nil {
		return err
	}
	has, err := b.s.columns(ctx, b.c)
	if err != nil {
		return err
	}
	except, err := json.Marshal(append([]string{}, o.Except...))
	if err != nil {
		return err
	}
	tail := "FOR UPDATE"
	if o.Mode == parley.ModeParallel {
		tail += " SKIP LOCKED"
	}
	q := fmt.Sprintf(`SELECT %s FROM %s WHERE %s <= statement_timestamp() AND id <> ALL($1::text::bigint[])
 AND exchange NOT IN (SELECT jsonb_array_elements_text($2::jsonb)) ORDER BY id LIMIT %d %s`,
		b.s.selected(has), b.s.e.names.outbox, dueTime(has), o.Limit, tail)
	b.rows, err = b.s.records(ctx, b.c, o.Room(1), q, idList(b.s.skipped()), string(except))
	if err != nil {
		return fmt.Errorf("read %s: %w", b.s.e.names.outbox, err)
	}
	return nil
}

func (s *django[Tx]) skipped() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.skip
}

// Records implements parley.Batch.
func (b *djangoBatch[Tx]) Records() []parley.Record { return b.rows }

// Settle implements parley.Batch. Parked rows stay in the table and are left alone by this process.
func (b *djangoBatch[Tx]) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (int, error) {
	if b.done {
		return 0, errors.New("batch has ended")
	}
	others, err := b.s.others(ctx, b.c)
	if err != nil {
		return 0, err
	}
	n := 0
	if err := b.c.finish(ctx, b.s.e.remove(sent, &n)); err != nil {
		return 0, fmt.Errorf("delete sent records: %w", err)
	}
	b.done = true
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	for _, p := range parked {
		b.s.skip = append(b.s.skip, p.Record.ID)
	}
	return len(sent) - n + others, nil
}

// others counts sessions that wait to delete single rows which this batch holds: relays of the Python
// library do, after they have published what this relay publishes too.
func (s *django[Tx]) others(ctx context.Context, c conn) (n int, err error) {
	s.mu.Lock()
	due := time.Since(s.checked) > 10*time.Second
	if due {
		s.checked = time.Now()
	}
	s.mu.Unlock()
	if !due {
		return 0, nil
	}
	err = c.query(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
 AND pg_backend_pid() = ANY (pg_blocking_pids(pid)) AND query LIKE 'DELETE FROM %publishedeventqueue%"id" IN (%'`,
		func(row scanner) error { return row.Scan(&n) })
	return n, err
}

// Release implements parley.Batch.
func (b *djangoBatch[Tx]) Release(ctx context.Context) error {
	if b.done {
		return nil
	}
	b.done = true
	return b.c.rollback(ctx)
}

// Delete implements parley.RelaySource.
func (s *django[Tx]) Delete(ctx context.Context, ids []int64) (int, error) {
	return s.e.Delete(ctx, ids)
}

// NextDue implements parley.RelaySource.
func (s *django[Tx]) NextDue(ctx context.Context) (wait time.Duration, ok bool, err error) {
	err = s.e.inTx(ctx, func(c ownTx) error {
		has, err := s.columns(ctx, c)
		if err != nil {
			return err
		}
		q := "SELECT extract(epoch FROM min(" + dueTime(has) + ") - clock_timestamp())::float8 FROM " + s.e.names.outbox + " WHERE id <> ALL($1::text::bigint[])"
		return c.query(ctx, q, func(row scanner) error {
			var seconds *float64
			err := row.Scan(&seconds)
			if seconds != nil {
				wait, ok = toDuration(*seconds), true
			}
			return err
		}, idList(s.skipped()))
	})
	return wait, ok, err
}

// Stats implements parley.OutboxInspector. It sees the rows of both styles.
func (s *django[Tx]) Stats(ctx context.Context) (st parley.OutboxStats, err error) {
	err = s.e.inTx(ctx, func(c ownTx) error {
		has, err := s.columns(ctx, c)
		if err != nil {
			return err
		}
		due := dueTime(has)
		q := fmt.Sprintf(`SELECT count(*) FILTER (WHERE %[1]s <= now()), count(*) FILTER (WHERE %[1]s > now()), count(*) FILTER (WHERE %[1]s IS NULL),
 coalesce(extract(epoch FROM now() - min(%[1]s) FILTER (WHERE %[1]s <= now())), 0)::float8 FROM %[2]s`, due, s.e.names.outbox)
		return c.query(ctx, q, func(row scanner) error {
			var oldest float64
			err := row.Scan(&st.Due, &st.Scheduled, &st.NeverDue, &oldest)
			st.OldestDue = toDuration(oldest)
			return err
		})
	})
	st.Parked = int64(len(s.skipped()))
	return st, err
}

// Watch implements parley.RelayWaker on the channel of the Python library's trigger, which
// is named after the schema that the table is really in. Without a trigger it says so, and the relay polls.
func (s *DjangoStore) Watch(ctx context.Context, wake func()) error {
	if s.cfg.PollOnly {
		<-ctx.Done()
		return nil
	}
	trigger := true
	err := listen(ctx, s.pool, wake, func(c *pgx.Conn) (channel string, err error) {
		err = c.QueryRow(ctx, `SELECT n.nspname || '_eventqueued', EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = r.oid AND NOT t.tgisinternal)
 FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = to_regclass($1)`, s.e.names.outbox).Scan(&channel, &trigger)
		if err == nil && !trigger {
			err = errors.New("no trigger")
		}
		return channel, err
	})
	if trigger {
		return err
	}
	s.cfg.Logger.Info("postgres: the table has no trigger that notifies, the relay polls", "table", s.e.names.outbox)
	<-ctx.Done()
	return nil
}
