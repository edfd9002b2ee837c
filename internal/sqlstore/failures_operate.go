package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// operateRows limits the rows of one transaction of an operator: consumers must not wait long for it.
const operateRows = 500

// eachChunk calls change in several transactions with matching rows that are not running, and calls changed after each
// commit. Rows that are added or parked again meanwhile are not processed twice. It reorders the keys of the rows, and
// returns how many rows were running.
//
// The changes are logged as those of action, in the transactions of the changes.
func (f *Failures[T]) eachChunk(ctx context.Context, action, filter string, q parley.FailureQuery,
	change func(tx T, idle []placedFailure) error, changed func(idle []placedFailure),
) (running int, err error) {
	last, err := f.lastID(ctx)
	if err != nil {
		return 0, err
	}
	if q.UpTo <= 0 || q.UpTo > last {
		q.UpTo = max(last, 1)
	}
	entry := int64(0)
	for after := int64(0); ; {
		var found []int64
		err := Retry(ctx, f.d.Transient, func() (err error) {
			found, err = f.find(ctx, &q, after, operateRows)
			return err
		})
		if err != nil || len(found) == 0 {
			return running, err
		}
		var idle []placedFailure
		busy, written := 0, entry
		err = f.own(ctx, func(tx T) (err error) {
			if idle, busy, err = f.lockMatching(ctx, tx, &q, found); err != nil || len(idle) == 0 {
				return err
			}
			if err = change(tx, idle); err == nil {
				written, err = f.logged(ctx, tx, action, filter, idle, entry)
			}
			return err
		})
		if err != nil {
			return running, err
		}
		entry = written
		running += busy
		changed(idle)
		f.reorderKeys(ctx, idle)
		after = found[len(found)-1]
	}
}

func (f *Failures[T]) lastID(ctx context.Context) (last int64, err error) {
	err = f.each(ctx, "SELECT coalesce(MAX(f.id), 0) FROM "+f.table(""), nil, func() {}, func(rows *sql.Rows) error { return rows.Scan(&last) })
	return last, err
}

// reorderKeys reorders the keys of rows after a commit.
func (f *Failures[T]) reorderKeys(ctx context.Context, rows []placedFailure) {
	for consumer, of := range byConsumer(rows) {
		f.promoteLater(ctx, consumer, keysOf(of))
	}
}

func byConsumer(rows []placedFailure) map[string][]placedFailure {
	out := map[string][]placedFailure{}
	for _, p := range rows {
		out[p.consumer] = append(out[p.consumer], p)
	}
	return out
}

// lockMatching locks those rows that still match. A locked row counts as running if that was its state
// before: its handler's transaction deletes it.
func (f *Failures[T]) lockMatching(ctx context.Context, tx Tx, q *parley.FailureQuery, rows []int64) (idle []placedFailure, running int, err error) {
	where, args := f.matching(q)
	query := "SELECT " + f.placedColumns() + " FROM " + f.table("") + " WHERE f.id IN " + list(rows) + where + " ORDER BY f.id"
	seen, err := f.placed(ctx, tx, query, args...)
	if err != nil {
		return nil, 0, err
	}
	seen = slices.DeleteFunc(seen, func(p placedFailure) bool {
		if p.state == parley.FailureRunning {
			running++
			return true
		}
		return false
	})
	if len(seen) == 0 {
		return nil, running, nil
	}
	query = "SELECT " + f.placedColumns() + " FROM " + f.table("") + " WHERE f.id IN " + list(ids(seen, placedID)) + where + " ORDER BY f.id"
	locked, err := f.placed(ctx, tx, query+f.d.Lock, args...)
	for _, p := range locked {
		if p.state == parley.FailureRunning {
			running++
		} else {
			idle = append(idle, p)
		}
	}
	return idle, running, err
}

// Replay makes rows due again; see [parley.FailureOperator]. It commits every 500 rows.
func (f *Failures[T]) Replay(ctx context.Context, q parley.FailureQuery, every time.Duration) (n int, err error) {
	_, err = f.eachChunk(ctx, parley.ActionReplay, q.String(), q, func(tx T, idle []placedFailure) error {
		return f.replay(ctx, tx, idle, func(i int) time.Duration { return stagger(every, n+i) })
	}, func(idle []placedFailure) { n += len(idle) })
	return n, f.fail("replay failed deliveries", err)
}

// stagger returns i times every, without overflow.
func stagger(every time.Duration, i int) time.Duration {
	const limit = 100 * 365 * 24 * time.Hour
	if every > 0 && time.Duration(i) > limit/every {
		return limit
	}
	return max(0, every*time.Duration(i))
}

const setReplayed = ", parked_at = NULL, holds = FALSE, claimed_by = '', begun = 0, hops = 0, reason = '', replays = replays + 1"

// replay makes the i-th row due after after(i). Rows that are not the first ones of their keys become behind.
func (f *Failures[T]) replay(ctx context.Context, tx Tx, rows []placedFailure, after func(i int) time.Duration) error {
	first, later, err := f.firstOfKeys(ctx, tx, rows)
	if err != nil {
		return fmt.Errorf("read the order of keys: %w", err)
	}
	if _, _, err := f.changeState(ctx, tx, later, parley.FailureWaiting, setBehind); err != nil {
		return err
	}
	var due, behind []int64
	var when strings.Builder
	for i, p := range rows {
		if p.key != "" && !first[p.id] {
			behind = append(behind, p.id)
			continue
		}
		due = append(due, p.id)
		fmt.Fprintf(&when, " WHEN %d THEN %d", p.id, after(i).Microseconds())
	}
	if len(due) > 0 {
		err = f.update(ctx, tx, due, "state = 'waiting', due_at = "+f.d.In("CASE id"+when.String()+" END")+setReplayed)
	}
	if err != nil {
		return err
	}
	return f.update(ctx, tx, behind, "state = 'behind', due_at = NULL"+setReplayed)
}

// firstOfKeys returns which rows will be the first ones of their keys, and which waiting rows then are not.
func (f *Failures[T]) firstOfKeys(ctx context.Context, tx Tx, rows []placedFailure) (first map[int64]bool, later []int64, err error) {
	first = map[int64]bool{}
	for consumer, of := range byConsumer(rows) {
		lines, err := f.lines(ctx, tx, consumer, keysOf(of), 1)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range of {
			l := lines[p.key]
			if l == nil {
				continue // without a key, or an earlier row has the same key
			}
			delete(lines, p.key)
			if ahead := l.first(); ahead != nil && ahead.id < p.id || l.running() {
				continue
			}
			first[p.id] = true
			for _, other := range l.active {
				if other.id != p.id {
					later = append(later, other.id)
				}
			}
		}
	}
	return first, later, nil
}

// Edit replaces the body of a row; see [parley.FailureOperator].
func (f *Failures[T]) Edit(ctx context.Context, id int64, body []byte) error {
	if body == nil {
		body = []byte{}
	}
	if err := f.fits(body); err != nil {
		return f.fail(fmt.Sprintf("edit failed delivery %d", id), err)
	}
	err := f.own(ctx, func(tx T) error {
		for _, lock := range []string{"", f.d.Lock} { // read without a lock first, to avoid waiting for a handler's transaction
			rows, err := f.lockRows(ctx, tx, []int64{id}, lock)
			switch {
			case err != nil:
				return err
			case len(rows) == 0:
				return parley.ErrNoFailure
			case rows[0].state == parley.FailureRunning:
				return parley.ErrRunning
			}
		}
		entry, logs := parley.NewAction(ctx, parley.ActionEdit, parley.IDsText([]int64{id}))
		if logs {
			if err := tx.QueryRowContext(ctx, f.sql("SELECT body FROM parley_failed_body WHERE id = ?"), id).Scan(&entry.Before); err != nil {
				return err
			}
		}
		if _, err := f.exec(ctx, tx, "UPDATE parley_failed_body SET body = ? WHERE id = ?", body, id); err != nil {
			return err
		}
		if err := f.update(ctx, tx, []int64{id}, "size = ?", len(body)); err != nil || !logs {
			return err
		}
		entry.After, entry.Changed, entry.Cursor = body, 1, id
		_, err := f.engine.logged(ctx, tx, entry)
		return err
	})
	return f.fail(fmt.Sprintf("edit failed delivery %d", id), err)
}

// Drop deletes rows; see [parley.FailureOperator]. It commits every 500 rows.
func (f *Failures[T]) Drop(ctx context.Context, q parley.FailureQuery) (dropped, running int, err error) {
	running, err = f.eachChunk(ctx, parley.ActionDrop, q.String(), q, func(tx T, idle []placedFailure) error {
		_, err := f.remove(ctx, tx, ids(idle, placedID))
		return err
	}, func(idle []placedFailure) { dropped += len(idle) })
	return dropped, running, f.fail("drop failed deliveries", err)
}

// Move gives the rows of one consumer to another; see [parley.FailureOperator]. It commits every 500 rows.
// The digests that merge repeats are still those of the old name.
func (f *Failures[T]) Move(ctx context.Context, from, to string) (n int, err error) {
	if from == to {
		return 0, nil
	}
	if from == "" || to == "" {
		return 0, f.fail("move failed deliveries", errors.New("the name of a consumer must not be empty"))
	}
	set, args := "consumer = ?", []any{to}
	if f.d.Digests {
		set += ", key_digest = CASE WHEN key_digest IS NULL THEN NULL ELSE UNHEX(SHA2(CONCAT(?, CAST(ordering_key AS BINARY)), 256)) END"
		args = append(args, keyPrefix(to))
	}
	_, err = f.eachChunk(ctx, parley.ActionMove, "from="+from+" to="+to, parley.FailureQuery{Consumer: from}, func(tx T, idle []placedFailure) error {
		return f.update(ctx, tx, ids(idle, placedID), set, args...)
	}, func(idle []placedFailure) {
		n += len(idle)
		f.promoteLater(ctx, to, keysOf(idle))
	})
	return n, f.fail("move failed deliveries", err)
}
