package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// The values of the column in_line: how a row affects later ones of its ordering key.
const (
	inLineIdle   = 1 // behind, or parked and holding
	inLineActive = 2 // waiting or running: it has a due time
)

// A placedFailure holds the columns that determine the order within a key.
type placedFailure struct {
	id       int64
	consumer string
	key      string
	state    parley.FailureState
	claim    int64
	begun    int
	size     int
	dueAt    int64 // in microseconds since 1970, 0 without a due time
	now      int64 // when the row was read, by the database's clock
}

// placedColumns returns the columns that scanPlaced reads, of the table as f.
func (f *Failures[T]) placedColumns() string {
	return "f.id, f.consumer, f.ordering_key, f.state, f.claim, f.begun, f.size, coalesce(" + f.d.Micros("f.due_at") + ", 0), " + f.d.Micros(f.d.Now)
}

func scanPlaced(rows *sql.Rows, first ...any) (p placedFailure, err error) {
	var state string
	err = rows.Scan(append(first, &p.id, &p.consumer, &p.key, &state, &p.claim, &p.begun, &p.size, &p.dueAt, &p.now)...)
	p.state = parley.FailureState(state)
	return p, err
}

// placed runs a query for placedColumns.
func (f *Failures[T]) placed(ctx context.Context, q queryer, query string, args ...any) (out []placedFailure, err error) {
	err = Each(ctx, q, f.sql(query), args, func(rows *sql.Rows) error {
		p, err := scanPlaced(rows)
		out = append(out, p)
		return err
	})
	return out, err
}

// lockRows locks rows by id and reads their current values. lock says whether it waits for locked ones.
func (f *Failures[T]) lockRows(ctx context.Context, tx Tx, rows []int64, lock string) (out []placedFailure, err error) {
	err = Chunks(rows, func(list string) error {
		some, err := f.placed(ctx, tx, "SELECT "+f.placedColumns()+" FROM "+f.table("")+" WHERE f.id IN "+list+" ORDER BY f.id"+lock)
		out = append(out, some...)
		return err
	})
	return out, err
}

// A line holds the first rows of a key, in the order of their ids: those with a due time, and those without.
type line struct{ idle, active []placedFailure }

// all returns the rows in their order. After the end of a truncated list there may be more.
func (l *line) all() []placedFailure {
	rows := slices.Concat(l.idle, l.active)
	slices.SortFunc(rows, func(a, b placedFailure) int { return cmp.Compare(a.id, b.id) })
	return rows
}

// first returns the first row of the key, or nil if there is none.
func (l *line) first() *placedFailure {
	if l == nil || len(l.idle)+len(l.active) == 0 {
		return nil
	}
	return &l.all()[0]
}

func (l *line) running() bool {
	return slices.ContainsFunc(l.active, func(p placedFailure) bool { return p.state == parley.FailureRunning })
}

// lineKeys limits the keys in one statement. activeRows limits the rows with a due time that are read for each key: one, or
// a claimed run, or rows that several processes kept at once.
const (
	lineKeys   = 50
	activeRows = 256
)

// lines reads the first n rows without a due time, and those with one, of each key.
func (f *Failures[T]) lines(ctx context.Context, q queryer, consumer string, keys []string, n int) (map[string]*line, error) {
	out := make(map[string]*line, len(keys))
	for some := range slices.Chunk(keys, lineKeys) {
		var parts []string
		var args []any
		for i, key := range some {
			out[key] = &line{}
			for _, part := range []struct{ in, limit int }{{inLineIdle, n}, {inLineActive, max(n, activeRows)}} {
				parts = append(parts, f.d.Part(fmt.Sprintf("SELECT %d AS part, %s FROM %s WHERE %s AND f.in_line = %d ORDER BY f.id LIMIT %d",
					part.in+10*i, f.placedColumns(), f.table("key"), f.keyIs(), part.in, part.limit)))
				args = append(args, f.key(consumer, key)...)
			}
		}
		err := Each(ctx, q, f.sql(strings.Join(parts, " UNION ALL ")), args, func(rows *sql.Rows) error {
			var part int
			p, err := scanPlaced(rows, &part)
			if err != nil {
				return err
			}
			l := out[some[part/10]]
			if part%10 == inLineActive {
				l.active = append(l.active, p)
			} else {
				l.idle = append(l.idle, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// KeysWithRows reports which keys have rows; see [parley.FailureStore].
func (f *Failures[T]) KeysWithRows(ctx context.Context, consumer string, keys []string) (map[string]bool, error) {
	found := make(map[string]bool, len(keys))
	for some := range slices.Chunk(keys, 2*lineKeys) {
		var parts []string
		var args []any
		for i, key := range some {
			for in := inLineIdle; in <= inLineActive; in++ {
				parts = append(parts, f.d.Part(fmt.Sprintf("SELECT %d AS part FROM %s WHERE %s AND f.in_line = %d LIMIT 1", i, f.table("key"), f.keyIs(), in)))
				args = append(args, f.key(consumer, key)...)
			}
		}
		err := f.each(ctx, strings.Join(parts, " UNION ALL "), args, func() {}, func(rows *sql.Rows) error {
			var part int
			err := rows.Scan(&part)
			found[some[part]] = found[some[part]] || err == nil && some[part] != ""
			return err
		})
		if err != nil {
			return nil, f.fail("find rows of ordering keys", err)
		}
	}
	delete(found, "")
	return found, nil
}

// Promote makes the first row of a key due; see [parley.FailureTx].
func (f *Failures[T]) Promote(ctx context.Context, consumer, key string) error {
	if key == "" {
		return nil
	}
	_, err := f.promote(ctx, consumer, []string{key})
	return f.fail("promote the next failed delivery of an ordering key", err)
}

// promote reorders keys: the first row is due, unless it is parked or a later one is still running;
// later waiting rows are behind it. It returns how many rows it has changed. It writes nothing if all keys are in order.
func (f *Failures[T]) promote(ctx context.Context, consumer string, keys []string) (changed int, err error) {
	for some := range slices.Chunk(keys, lineKeys) {
		var lines map[string]*line
		err := Retry(ctx, f.d.Transient, func() (err error) {
			lines, err = f.lines(ctx, f.db, consumer, some, 1)
			return err
		})
		if err != nil {
			return changed, err
		}
		if up, down := toReorder(lines); len(up)+len(down) == 0 {
			continue
		}
		n := 0
		err = Retry(ctx, isRowLocked, func() error {
			return f.own(ctx, func(tx T) (err error) {
				n, err = f.reorder(ctx, tx, consumer, some)
				return err
			})
		})
		if changed += n; err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// errRowLocked means that another transaction has locked the row to be promoted. The caller checks the key
// a little later.
var errRowLocked = errors.New("another transaction has locked the first row of an ordering key")

func isRowLocked(err error) bool { return errors.Is(err, errRowLocked) }

func (f *Failures[T]) reorder(ctx context.Context, tx Tx, consumer string, keys []string) (int, error) {
	lines, err := f.lines(ctx, tx, consumer, keys, 1)
	if err != nil {
		return 0, err
	}
	up, down := toReorder(lines)
	behind, _, err := f.changeState(ctx, tx, down, parley.FailureWaiting, setBehind) // a locked row is skipped: claims check it again
	if err != nil {
		return 0, err
	}
	due, locked, err := f.changeState(ctx, tx, up, parley.FailureBehind, "state = 'waiting', due_at = "+f.d.Now)
	if err == nil && locked > 0 {
		err = errRowLocked
	}
	return behind + due, err
}

const setBehind = "state = 'behind', due_at = NULL, claimed_by = ''"

// toReorder returns the rows that must become due, and those that must become behind.
func toReorder(lines map[string]*line) (up, down []int64) {
	for _, l := range lines {
		first := l.first()
		if first == nil {
			continue
		}
		for _, p := range l.active {
			if p.state == parley.FailureWaiting && p.id != first.id {
				down = append(down, p.id)
			}
		}
		if first.state == parley.FailureBehind && !l.running() {
			up = append(up, first.id)
		}
	}
	return up, down
}

// changeState changes the rows that still have the state from. It returns how many it changed, and how many it skipped because
// another transaction has locked or deleted them.
func (f *Failures[T]) changeState(ctx context.Context, tx Tx, rows []int64, from parley.FailureState, set string) (n, locked int, err error) {
	if len(rows) == 0 {
		return 0, 0, nil
	}
	found, err := f.lockRows(ctx, tx, rows, f.d.Free)
	if err != nil {
		return 0, 0, err
	}
	locked = len(rows) - len(found)
	found = slices.DeleteFunc(found, func(p placedFailure) bool { return p.state != from })
	return len(found), locked, f.update(ctx, tx, ids(found, placedID), set)
}

// update changes rows by id.
func (f *Failures[T]) update(ctx context.Context, tx Tx, rows []int64, set string, args ...any) error {
	return Chunks(rows, func(list string) error {
		_, err := f.exec(ctx, tx, f.d.Update+set+" WHERE id IN "+list, args...)
		return err
	})
}

func placedID(p *placedFailure) int64 { return p.id }
