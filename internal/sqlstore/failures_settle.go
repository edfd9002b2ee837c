package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
)

// Renew extends leases; see [parley.FailureStore]. A locked row is being deleted by the transaction of
// its own handler: no other consumer can claim it meanwhile.
func (f *Failures[T]) Renew(ctx context.Context, claims []parley.FailureClaim, lease time.Duration) (lost []parley.FailureClaim, err error) {
	if len(claims) == 0 {
		return nil, nil
	}
	err = f.own(ctx, func(tx T) error {
		lost, err = f.renew(ctx, tx, claims, lease)
		return err
	})
	if err != nil {
		return nil, f.fail("renew claims of failed deliveries", err)
	}
	return lost, nil
}

func (f *Failures[T]) renew(ctx context.Context, tx Tx, claims []parley.FailureClaim, lease time.Duration) (lost []parley.FailureClaim, err error) {
	all := ids(claims, func(c *parley.FailureClaim) int64 { return c.ID })
	locked, err := f.lockRows(ctx, tx, all, f.d.Free)
	if err != nil {
		return nil, err
	}
	seen, err := f.lockRows(ctx, tx, all, "")
	if err != nil {
		return nil, err
	}
	now := make(map[int64]placedFailure, len(seen))
	for _, p := range append(seen, locked...) {
		now[p.id] = p
	}
	valid := map[int64]bool{}
	for _, c := range claims {
		p, ok := now[c.ID]
		if ok && p.claim == c.Number && p.state == parley.FailureRunning {
			valid[c.ID] = true
		} else {
			lost = append(lost, c)
		}
	}
	locked = slices.DeleteFunc(locked, func(p placedFailure) bool { return !valid[p.id] })
	return lost, f.update(ctx, tx, ids(locked, placedID), "due_at = "+f.d.In(micros(lease)))
}

// Settle ends a claim; see [parley.FailureStore].
func (f *Failures[T]) Settle(ctx context.Context, c parley.FailureClaim, o parley.FailureOutcome) error {
	var key string
	err := f.own(ctx, func(tx T) error {
		rows, err := f.lockRows(ctx, tx, []int64{c.ID}, f.d.Lock)
		if err != nil {
			return err
		}
		if len(rows) == 0 && o.Action == parley.FailureDone {
			return nil
		}
		if len(rows) == 0 || rows[0].claim != c.Number || rows[0].state != parley.FailureRunning {
			return parley.ErrClaimLost
		}
		key = rows[0].key
		if err := f.settle(ctx, tx, &rows[0], o); err != nil {
			return err
		}
		return failpoint.Hit("failures.settling")
	})
	if errors.Is(err, parley.ErrClaimLost) {
		return parley.ErrClaimLost
	}
	if err != nil {
		return f.fail(fmt.Sprintf("settle failed delivery %d", c.ID), err)
	}
	if key != "" {
		f.promoteLater(ctx, c.Consumer, []string{key})
	}
	return nil
}

func (f *Failures[T]) settle(ctx context.Context, tx Tx, p *placedFailure, o parley.FailureOutcome) error {
	one := []int64{p.id}
	switch o.Action {
	case parley.FailureDone:
		_, err := f.remove(ctx, tx, one)
		return err
	case parley.FailureRetry:
		set, err := f.setWaiting(ctx, tx, p, o.After)
		if err != nil {
			return err
		}
		note, args := f.note(o)
		return f.update(ctx, tx, one, set+note, args...)
	case parley.FailurePark:
		note, args := f.note(o)
		return f.update(ctx, tx, one, "state = 'parked', due_at = NULL, claimed_by = '', parked_at = "+f.d.Now+", holds = ?"+note, append([]any{o.Holds}, args...)...)
	case parley.FailureRelease:
		set, err := f.setWaiting(ctx, tx, p, 0)
		if err != nil {
			return err
		}
		return f.update(ctx, tx, one, set+fmt.Sprintf(", begun = %d", max(0, p.begun-1)))
	}
	return fmt.Errorf("unknown action %d", o.Action)
}

// setWaiting makes a row waiting, or behind if it is not the first one of its key.
func (f *Failures[T]) setWaiting(ctx context.Context, tx Tx, p *placedFailure, after time.Duration) (set string, err error) {
	if p.key != "" {
		lines, err := f.lines(ctx, tx, p.consumer, []string{p.key}, 1)
		if err != nil {
			return "", fmt.Errorf("read the order of the key: %w", err)
		}
		if first := lines[p.key].first(); first != nil && first.id < p.id {
			return setBehind, nil
		}
	}
	return "state = 'waiting', claimed_by = '', due_at = " + f.d.In(micros(after)), nil
}

// note returns the columns that record the outcome of an attempt.
func (f *Failures[T]) note(o parley.FailureOutcome) (set string, args []any) {
	h := &o.History
	clean := func(s string) string { return parley.CleanText(s, failureTexts) }
	return ", begun = 0, hops = ?, attempts = ?, replays = ?, first_failure = ?, last_failure = ?, first_error = ?, last_error = ?, reason = ?, fingerprint = ?",
		[]any{
			h.Retries, h.Attempts, h.Replays, f.failureTime(h.FirstFailure), f.failureTime(h.LastFailure),
			clean(h.FirstError), clean(h.LastError), clean(h.Reason), parley.CleanText(o.Fingerprint, 64),
		}
}

// DoneIn deletes the claimed row within tx; see [parley.FailureTx].
func (f *Failures[T]) DoneIn(ctx context.Context, tx T, c parley.FailureClaim) error {
	doing := fmt.Sprintf("delete handled delivery %d", c.ID)
	n, err := f.exec(ctx, tx, f.d.Delete("parley_failed", list([]int64{c.ID}))+" AND state = 'running' AND claim = ?", c.Number)
	if err != nil {
		return f.fail(doing, err)
	}
	if n == 0 {
		return parley.ErrClaimLost
	}
	_, err = f.exec(ctx, tx, f.d.Delete("parley_failed_body", list([]int64{c.ID})))
	return f.fail(doing, err)
}

// Sweep promotes keys whose first row is behind, and deletes old parked rows; see [parley.FailureStore].
func (f *Failures[T]) Sweep(ctx context.Context, consumer string, retention time.Duration, limit int) (int, error) {
	keys, err := f.orphans(ctx, consumer)
	n := 0
	if err == nil {
		n, err = f.promote(ctx, consumer, keys)
	}
	if err == nil && retention > 0 && limit > 0 {
		var dropped int
		dropped, err = f.dropOld(ctx, consumer, retention, limit)
		n += dropped
	}
	return n, f.fail("sweep failed deliveries", err)
}

// orphans returns the keys that have rows behind, but no row ahead of them.
func (f *Failures[T]) orphans(ctx context.Context, consumer string) (keys []string, err error) {
	same := "a.consumer = f.consumer AND a.ordering_key = f.ordering_key AND a.ordering_key <> ''"
	if f.d.Digests {
		same = "a.key_digest = f.key_digest"
	}
	ahead := " AND NOT EXISTS (SELECT 1 FROM parley_failed AS a" + f.d.Index("key") + " WHERE " + same + " AND a.in_line = "
	q := "SELECT f.ordering_key FROM " + f.table("state") + " WHERE f.consumer = ? AND f.state = 'behind'" +
		ahead + fmt.Sprint(inLineActive) + ")" + ahead + fmt.Sprint(inLineIdle) + " AND a.id < f.id)"
	err = f.each(ctx, q, []any{consumer}, func() { keys = nil }, scanStrings(&keys))
	if err != nil {
		return nil, fmt.Errorf("find orphaned ordering keys: %w", err)
	}
	return keys, nil
}

func (f *Failures[T]) dropOld(ctx context.Context, consumer string, retention time.Duration, limit int) (n int, err error) {
	var dropped []placedFailure
	q := fmt.Sprintf("SELECT %s FROM %s WHERE f.consumer = ? AND f.parked_at < %s ORDER BY f.parked_at, f.id LIMIT %d%s",
		f.placedColumns(), f.table("parked"), f.d.In(micros(-retention)), limit, f.d.Free)
	err = f.own(ctx, func(tx T) error {
		if dropped, err = f.placed(ctx, tx, q, consumer); err == nil {
			n, err = f.remove(ctx, tx, ids(dropped, placedID))
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete old parked rows: %w", err)
	}
	f.promoteLater(ctx, consumer, keysOf(dropped))
	return n, nil
}

// keysOf returns the keys of rows, each once.
func keysOf(rows []placedFailure) (keys []string) {
	seen := map[string]bool{"": true}
	for _, p := range rows {
		if !seen[p.key] {
			seen[p.key] = true
			keys = append(keys, p.key)
		}
	}
	return keys
}
