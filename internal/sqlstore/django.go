package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// DjangoTable is the outbox table of the Python library.
const DjangoTable = "services_communication_publishedeventqueue"

// A DjangoDialect holds the differences between databases for Django's table.
type DjangoDialect struct {
	// Package is the prefix of errors.
	Package string
	// AppID is the app_id of published messages.
	AppID string
	// Now is the time in the format of the columns, by the database's clock, in UTC.
	Now string
	// Earlier is the function that returns the smaller of two values, or NULL if one is.
	Earlier string
	// Text returns a column as text, "2006-01-02 15:04:05.999999" for times.
	Text func(expr string) string
	// Columns lists the names of the table's columns.
	Columns string
	// Exact makes a text column comparable byte by byte.
	Exact func(column string) string
	// ByID names the table, for access by id.
	ByID string
	// Delete returns a DELETE of the rows with the ids of a list "(1,2)".
	Delete func(list string) string
	// Lock ends a SELECT of rows that are to be changed. May be empty.
	Lock string
	// LockFree ends a SELECT that locks rows and leaves out those which another transaction has locked. May be empty.
	LockFree string
	// Transient reports errors after which the store's own transaction is retried.
	Transient func(err error) bool
	// BeforeChange is called before a search for rows to be changed.
	BeforeChange func(ctx context.Context, tx Tx) error
	// Held returns the rows that a relay holds without a row lock.
	Held func() (map[int64]bool, error)
}

// Django implements the store interfaces of parley on Django's table, except the claim.
type Django[T Tx] struct {
	d      DjangoDialect
	engine Engine[T] // for transactions only

	mu sync.Mutex
	// mu guards the fields below.
	has  map[string]bool
	skip []int64 // rows that can never be published
}

// NewDjango returns an engine on the table of a Django service.
func NewDjango[T Tx](d DjangoDialect, db *sql.DB, begin Begin[T]) *Django[T] {
	return &Django[T]{d: d, engine: New(Dialect{Package: d.Package, Transient: d.Transient}, db, begin)}
}

// DjangoOnItsOwn is [OnItsOwn] for Django's table.
func DjangoOnItsOwn[T Tx](s *Django[T], db *sql.DB, begin Begin[T]) { OnItsOwn(&s.engine, db, begin) }

// OwnDjango runs fn in a transaction of the store itself; see [Own].
func OwnDjango[T Tx](ctx context.Context, s *Django[T], fn func(tx T) error) error {
	return Own(ctx, &s.engine, fn)
}

// columns returns the columns of the table, which differ by version. It reads them once.
func (s *Django[T]) columns(ctx context.Context, q queryer) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has != nil {
		return s.has, nil
	}
	has := map[string]bool{}
	err := Each(ctx, q, s.d.Columns, nil, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		has[strings.ToLower(name)] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", DjangoTable, err)
	}
	if !has["exchange"] {
		return nil, fmt.Errorf("the database has no table %s (run Django's migrations)", DjangoTable)
	}
	s.has = has
	return has, nil
}

var errOldTable = errors.New("the table is older than version 2.5 of the Python library, and only a relay can use it: run Django's migrations of version 2.5 or later to publish or reschedule from Go")

// Insert implements parley.OutboxStore. It inserts a row for each record, and writes its body when the id is
// known. Two concurrent transactions may both insert with the same UnlessTags, because there is no table of
// parley to lock. Headers of the caller are ErrInvalid on a table before version 2.6.7, which cannot hold them.
func (s *Django[T]) Insert(ctx context.Context, tx T, records []parley.Record) error {
	has, err := s.columns(ctx, tx)
	if err != nil {
		return err
	}
	if !has["is_new_style"] {
		return errOldTable
	}
	if err := CheckDjango(has, records); err != nil {
		return err
	}
	for i := range records {
		if err := s.insertUnless(ctx, tx, has, &records[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Django[T]) insertUnless(ctx context.Context, tx Tx, has map[string]bool, r *parley.Record) error {
	if len(r.UnlessTags) > 0 {
		if err := s.d.BeforeChange(ctx, tx); err != nil {
			return err
		}
		found, err := s.find(ctx, tx, parley.Selection{Exchange: r.Exchange, RoutingKey: r.RoutingKey, Tags: r.UnlessTags})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			r.ID = 0
			return nil
		}
	}
	return s.insert(ctx, tx, has, r)
}

func (s *Django[T]) insert(ctx context.Context, tx Tx, has map[string]bool, r *parley.Record) error {
	if !r.DueAt.IsZero() {
		if err := checkTime(r.DueAt); err != nil {
			return err
		}
	}
	due, args := s.d.Now, []any{r.Exchange, r.RoutingKey, string(r.Body), djangoTags(r.Tags)}
	if !r.DueAt.IsZero() {
		due, args = "?", append(args, djangoTime(r.DueAt))
	}
	column, value := "", ""
	if has["properties"] {
		props, err := encodeDjangoProperties(r)
		if err != nil {
			return err
		}
		column, value, args = ", properties", ",?", append(args, props)
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO "+DjangoTable+" (create_time, is_new_style, exchange, routing_key, body, tags, send_after_time"+
		column+") VALUES ("+s.d.Now+",1,?,?,?,?,"+due+value+")", args...)
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	if r.ID, err = res.LastInsertId(); err != nil {
		return fmt.Errorf("read the row's id: %w", err)
	}
	body := string(parley.FinishBody(r.Kind, r.ID, r.Body))
	if body == string(r.Body) {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "UPDATE "+s.d.ByID+" SET body = ? WHERE id = ?", body, r.ID); err != nil {
		return fmt.Errorf("write the id into the body: %w", err)
	}
	return nil
}

// djangoTime formats t as Django stores it where times have no zone.
func djangoTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }

// find returns the ids of the rows with matching tags that no relay holds.
func (s *Django[T]) find(ctx context.Context, tx Tx, sel parley.Selection) (ids []int64, err error) {
	if sel.ID > 0 {
		has, err := s.columns(ctx, tx)
		if err != nil {
			return nil, err
		}
		q := "SELECT id FROM " + s.d.ByID + " WHERE id = ? AND " + s.due(has) + " > " + s.d.Now
		if err := Each(ctx, tx, q, []any{sel.ID}, scanIDs(&ids)); err != nil {
			return nil, fmt.Errorf("find the scheduled row: %w", err)
		}
		return ids, nil
	}
	q := "SELECT id, tags FROM " + DjangoTable + " WHERE " + s.d.Exact("exchange") + " = ? AND " + s.d.Exact("routing_key") + " = ? AND tags IS NOT NULL"
	args := []any{sel.Exchange, sel.RoutingKey}
	for name, value := range sel.Tags {
		for _, text := range []string{name, value} {
			if plain(text) { // avoids reading most rows; other texts are escaped in different ways
				q, args = q+" AND tags LIKE ?", append(args, `%"`+text+`"%`)
			}
		}
	}
	err = Each(ctx, tx, q, args, func(rows *sql.Rows) error {
		var id int64
		var tags string
		err := rows.Scan(&id, &tags)
		if err == nil && hasTags(readTags(tags), sel.Tags) {
			ids = append(ids, id)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find scheduled rows: %w", err)
	}
	return ids, nil
}

// plain reports whether a text is the same in the JSON of every writer, and in a LIKE pattern.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '.'
	})
}

// change returns the rows that a caller may change.
func (s *Django[T]) change(ctx context.Context, tx Tx, sel parley.Selection) ([]int64, error) {
	if err := s.d.BeforeChange(ctx, tx); err != nil {
		return nil, err
	}
	held, err := s.d.Held()
	if err != nil {
		return nil, err
	}
	ids, err := s.find(ctx, tx, sel)
	return slices.DeleteFunc(ids, func(id int64) bool { return held[id] }), err
}

// Cancel implements parley.OutboxStore. It matches like version 2.6 of the Python library: the same exchange and
// routing key, and at least the given tags.
func (s *Django[T]) Cancel(ctx context.Context, tx T, sel parley.Selection) (int, error) {
	ids, err := s.change(ctx, tx, sel)
	if err != nil {
		return 0, err
	}
	return s.remove(ctx, tx, ids)
}

// Reschedule implements parley.OutboxStore.
func (s *Django[T]) Reschedule(ctx context.Context, tx T, sel parley.Selection, due time.Time) (n int, err error) {
	if err := checkTime(due); err != nil {
		return 0, err
	}
	has, err := s.columns(ctx, tx)
	if err != nil {
		return 0, err
	}
	if !has["send_after_time"] {
		return 0, errOldTable
	}
	ids, err := s.change(ctx, tx, sel)
	if err != nil {
		return 0, err
	}
	err = Chunks(ids, func(list string) error {
		// Counted here: MySQL does not count rows whose time is unchanged.
		err := Each(ctx, tx, "SELECT id FROM "+s.d.ByID+" WHERE id IN "+list+s.d.Lock, nil, func(*sql.Rows) error { n++; return nil })
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE "+s.d.ByID+" SET send_after_time = ? WHERE id IN "+list, djangoTime(due))
		}
		return err
	})
	return n, err
}

func (s *Django[T]) remove(ctx context.Context, tx Tx, ids []int64) (removed int, err error) {
	err = Chunks(ids, func(list string) error {
		n, err := Exec(ctx, tx, s.d.Delete(list))
		removed += n
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete rows: %w", err)
	}
	return removed, nil
}
