package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// selected returns the columns of a row for any version of the table.
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
		err = errors.Join(err, b.Release(context.WithoutCancel(ctx)))
		return nil, explainLock(ctx, err, s.Blockers)
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
	free, err := b.read(ctx, has, o, string(except), o.Mode == parley.RelayModeParallel, "IS NULL")
	if err != nil {
		return err
	}
	tagged, err := b.read(ctx, has, o, string(except), true, "IS NOT NULL")
	if err != nil {
		return err
	}
	b.rows = firstRows(append(free, tagged...), o)
	return nil
}

// read locks and reads the first due rows without tags, or those with tags. Only rows with tags can be cancelled or moved:
// if an open transaction has changed them, they are skipped, so that it does not block all other rows.
func (b *djangoBatch[Tx]) read(ctx context.Context, has map[string]bool, o parley.ClaimOptions, except string, skip bool, tags string) ([]parley.Record, error) {
	tail := "FOR UPDATE"
	if skip {
		tail += " SKIP LOCKED"
	}
	q := fmt.Sprintf(`SELECT %s FROM %s WHERE %s <= statement_timestamp() AND id <> ALL($1::text::bigint[])
 AND exchange NOT IN (SELECT jsonb_array_elements_text($2::jsonb)) AND %s %s ORDER BY id LIMIT %d %s`,
		b.s.selected(has), b.s.e.names.outbox, dueTime(has), optional(has, "tags", "text"), tags, o.Limit, tail)
	rows, err := b.s.records(ctx, b.c, o.Room(1), q, idList(b.s.skipped()), except)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", b.s.e.names.outbox, err)
	}
	return rows, nil
}

// firstRows returns the first rows in the order of their ids, as far as there is room. The others are unlocked at the end of
// the transaction.
func firstRows(rows []parley.Record, o parley.ClaimOptions) []parley.Record {
	slices.SortFunc(rows, func(a, b parley.Record) int { return cmp.Compare(a.ID, b.ID) })
	room := o.Room(1)
	for i := range rows {
		if i == o.Limit || !room(len(rows[i].Body)) {
			return rows[:i]
		}
	}
	return rows
}

func (s *django[Tx]) skipped() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.skip
}

// Records implements parley.Batch.
func (b *djangoBatch[Tx]) Records() []parley.Record { return b.rows }

// Settle implements parley.Batch. Parked rows stay in the table; this process ignores them from then on.
func (b *djangoBatch[Tx]) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (int, error) {
	if b.done {
		return 0, errors.New("batch has ended")
	}
	n := 0
	var seen pythonSeen
	if err := b.c.finish(ctx, append(b.s.python.look(&seen), b.s.e.remove(sent, &n))...); err != nil {
		return 0, fmt.Errorf("delete sent records: %w", err)
	}
	b.done = true
	b.s.mu.Lock()
	for _, p := range parked {
		b.s.skip = append(b.s.skip, p.Record.ID)
	}
	b.s.mu.Unlock()
	return len(sent) - n + b.s.python.report(ctx, b.s.cfg.Logger, seen, b.rows), nil
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
func (s *django[Tx]) Delete(ctx context.Context, sent []parley.SentRecord) (deleted int, remaining []parley.SentRecord, err error) {
	var has map[string]bool
	err = s.e.inTx(ctx, func(c ownTx) error {
		has, err = s.columns(ctx, c)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return s.e.deleteSent(ctx, sentColumns{"o.create_time", djangoDue(has, "o."), "''"}, sent)
}

// Blockers implements parley.BlockerInspector; see [Store].
func (s *django[Tx]) Blockers(ctx context.Context) (found []parley.Blocker, err error) {
	var has map[string]bool
	err = s.e.inTx(ctx, func(c ownTx) error {
		has, err = s.columns(ctx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.e.blockers(ctx, "SELECT xmax FROM "+s.e.names.outbox+" WHERE "+dueTime(has)+" <= statement_timestamp() ORDER BY id LIMIT 1000")
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

// Stats implements parley.OutboxInspector. It counts the rows of both styles.
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
// is named after the actual schema of the table. Without a trigger it logs that, and the relay polls.
func (s *DjangoStore) Watch(ctx context.Context, wake func()) error {
	if s.cfg.PollOnly {
		<-ctx.Done()
		return nil
	}
	trigger := true
	err := listen(ctx, s.pool, func(c *pgx.Conn) (channel string, err error) {
		err = c.QueryRow(ctx, `SELECT n.nspname || '_eventqueued', EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = r.oid AND NOT t.tgisinternal)
 FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = to_regclass($1)`, s.e.names.outbox).Scan(&channel, &trigger)
		if err == nil && !trigger {
			err = errors.New("no trigger")
		}
		return channel, err
	}, func(l *listener) error {
		wake()
		return l.run(ctx, func(context.Context) error { wake(); return nil })
	})
	if trigger {
		return err
	}
	s.cfg.Logger.Info("postgres: table has no notification trigger, relay polls", "table", s.e.names.outbox)
	<-ctx.Done()
	return nil
}
