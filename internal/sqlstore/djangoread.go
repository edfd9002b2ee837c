package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

func optional(has map[string]bool, name string) string {
	if has[name] {
		return name
	}
	return "NULL"
}

// due returns the expression for the time at which the Python relay considers a row due: the earlier of two times,
// each of which may be missing.
func (s *Django[T]) due(has map[string]bool) string {
	a, b := optional(has, "send_after_time"), optional(has, "event_time")
	return "coalesce(" + s.d.Earlier + "(" + a + ", " + b + "), " + a + ", " + b + ")"
}

// selected returns the columns of a row for any version of the table.
func (s *Django[T]) selected(has map[string]bool) string {
	when := "coalesce(" + optional(has, "event_time") + ", " + optional(has, "send_after_time") + ")"
	columns := []string{
		"id", s.d.Text("create_time"), "exchange", "routing_key", s.d.Text(s.due(has)), s.d.Text(when),
		"coalesce(" + optional(has, "is_new_style") + ", 0)",
	}
	for _, name := range []string{"tags", "body", "properties", "aggregate", "event_type", "payload"} {
		columns = append(columns, s.d.Text(optional(has, name)))
	}
	return strings.Join(columns, ", ")
}

func (s *Django[T]) scan(rows *sql.Rows) (parley.Record, error) {
	var r parley.Record
	var d DjangoRow
	var created, due, when sql.NullString
	err := rows.Scan(&r.ID, &created, &r.Exchange, &r.RoutingKey, &due, &when, &d.NewStyle,
		&d.Tags, &d.Body, &d.Properties, &d.Aggregate, &d.EventType, &d.Payload)
	if err != nil {
		return r, err
	}
	d.Due, d.EventTime = readTime(due), readTime(when)
	d.Fill(&r)
	r.AppID = s.d.AppID
	if t := readTime(created); t != nil {
		r.CreatedAt = *t
	}
	return r, nil
}

// readTime parses a time that Django or another program has written; it returns nil if there is none.
func readTime(text sql.NullString) *time.Time {
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", time.RFC3339} {
		if t, err := time.Parse(layout, text.String); text.Valid && err == nil {
			t = t.UTC()
			return &t
		}
	}
	return nil
}

// ReadDjango returns the due rows in the order of their ids, without those of the
// exchanges o.Except, held rows and parked rows. lock, which may be empty, ends
// the query that reads the rows by their ids; it locks no other row.
func ReadDjango[T Tx](ctx context.Context, s *Django[T], tx Tx, o parley.ClaimOptions, held []int64, lock string) ([]parley.Record, error) {
	has, err := s.columns(ctx, tx)
	if err != nil {
		return nil, err
	}
	q, args := s.dueQuery(has, o, held)
	var ids []int64
	// This search takes no locks: a locking scan would also lock rows that are due later.
	err = Each(ctx, tx, q, args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	var out []parley.Record
	room, full := o.Room(1), false
	if err == nil {
		err = Chunks(ids, func(list string) error {
			q := fmt.Sprintf("SELECT %s FROM %s WHERE id IN %s AND %s <= %s ORDER BY id%s", s.selected(has), s.d.ByID, list, s.due(has), s.d.Now, lock)
			return s.each(ctx, tx, q, nil, func(r parley.Record) {
				if full = full || !room(len(r.Body)); !full {
					out = append(out, r)
				}
			})
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", DjangoTable, err)
	}
	return out, nil
}

func (s *Django[T]) dueQuery(has map[string]bool, o parley.ClaimOptions, held []int64) (q string, args []any) {
	q = "SELECT id FROM " + DjangoTable + " WHERE " + s.due(has) + " <= " + s.d.Now + s.notSkipped(held)
	if len(o.Except) > 0 {
		marks, names := Placeholders(o.Except)
		q, args = q+" AND "+s.d.Exact("exchange")+" NOT IN ("+marks+")", names
	}
	return fmt.Sprintf("%s ORDER BY id LIMIT %d", q, o.Limit), args
}

// AnyDjangoDue checks, without a lock, whether there is a due row for a relay.
func AnyDjangoDue[T Tx](ctx context.Context, s *Django[T], o parley.ClaimOptions) (due bool, err error) {
	o.Limit = 1
	err = Retry(ctx, s.d.Transient, func() error {
		has, err := s.columns(ctx, s.engine.db)
		if err != nil {
			return err
		}
		q, args := s.dueQuery(has, o, nil)
		return Each(ctx, s.engine.db, q, args, func(*sql.Rows) error { due = true; return nil })
	})
	return due, err
}

func (s *Django[T]) notSkipped(held []int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.skip)+len(held) == 0 {
		return ""
	}
	return " AND id NOT IN " + list(append(append([]int64{}, held...), s.skip...))
}

func (s *Django[T]) each(ctx context.Context, tx Tx, q string, args []any, fn func(r parley.Record)) error {
	return Each(ctx, tx, q, args, func(rows *sql.Rows) error {
		r, err := s.scan(rows)
		if err == nil {
			fn(r)
		}
		return err
	})
}

// FinishDjango deletes the sent rows within tx and returns how many were deleted elsewhere.
func FinishDjango[T Tx](ctx context.Context, s *Django[T], tx Tx, sent []int64) (elsewhere int, err error) {
	n, err := s.remove(ctx, tx, sent)
	return len(sent) - n, err
}

// SkipDjango makes this process ignore parked rows from now on: there is no table to move them to.
func SkipDjango[T Tx](s *Django[T], parked []parley.Parked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range parked {
		s.skip = append(s.skip, parked[i].Record.ID)
	}
}

// Scheduled implements parley.OutboxStore. It returns rows that are due later.
func (s *Django[T]) Scheduled(ctx context.Context, tx T, sel parley.Selection, limit int) (out []parley.Record, err error) {
	has, err := s.columns(ctx, tx)
	if err != nil {
		return nil, err
	}
	q := "SELECT " + s.selected(has) + " FROM " + DjangoTable + " WHERE " + s.due(has) + " > " + s.d.Now
	var args []any
	if sel.ID > 0 {
		q, args, sel = q+" AND id = ?", append(args, sel.ID), parley.Selection{}
	}
	if sel.Exchange != "" {
		q, args = q+" AND "+s.d.Exact("exchange")+" = ?", append(args, sel.Exchange)
	}
	if sel.RoutingKey != "" {
		q, args = q+" AND "+s.d.Exact("routing_key")+" = ?", append(args, sel.RoutingKey)
	}
	err = s.each(ctx, tx, q+" ORDER BY "+s.due(has)+", id", args, func(r parley.Record) {
		if len(out) < limit && hasTags(r.Tags, sel.Tags) {
			out = append(out, r)
		}
	})
	return out, err
}

// NextDue implements parley.RelaySource.
func (s *Django[T]) NextDue(ctx context.Context) (wait time.Duration, ok bool, err error) {
	err = Retry(ctx, s.d.Transient, func() error {
		has, err := s.columns(ctx, s.engine.db)
		if err != nil {
			return err
		}
		q := "SELECT " + s.d.Text("min("+s.due(has)+")") + ", " + s.d.Text(s.d.Now) + " FROM " + DjangoTable + " WHERE 1 = 1" + s.notSkipped(nil)
		return Each(ctx, s.engine.db, q, nil, func(rows *sql.Rows) error {
			var due, now sql.NullString
			err := rows.Scan(&due, &now)
			if a, b := readTime(due), readTime(now); a != nil && b != nil {
				wait, ok = a.Sub(*b), true
			}
			return err
		})
	})
	return wait, ok, Fail(s.d.Package, "read the next due time", err)
}

// Stats implements parley.OutboxInspector. It counts the rows of both styles.
func (s *Django[T]) Stats(ctx context.Context) (st parley.OutboxStats, err error) {
	err = Retry(ctx, s.d.Transient, func() error {
		has, err := s.columns(ctx, s.engine.db)
		if err != nil {
			return err
		}
		due := s.due(has)
		count := "coalesce(sum(CASE WHEN " + due + " %s THEN 1 ELSE 0 END), 0)"
		q := fmt.Sprintf("SELECT "+count+", "+count+", "+count, "<= "+s.d.Now, "> "+s.d.Now, "IS NULL") +
			", " + s.d.Text("min("+due+")") + ", " + s.d.Text(s.d.Now) + " FROM " + DjangoTable
		return Each(ctx, s.engine.db, q, nil, func(rows *sql.Rows) error {
			var first, now sql.NullString
			err := rows.Scan(&st.Due, &st.Scheduled, &st.NeverDue, &first, &now)
			if a, b := readTime(first), readTime(now); a != nil && b != nil {
				st.OldestDue = max(b.Sub(*a), 0)
			}
			return err
		})
	})
	s.mu.Lock()
	st.Parked = int64(len(s.skip))
	s.mu.Unlock()
	return st, Fail(s.d.Package, "read stats", err)
}
