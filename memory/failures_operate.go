package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// List lists rows without their bodies; see [parley.FailureOperator].
func (f *Failures) List(ctx context.Context, q parley.FailureQuery, after int64, limit int) ([]parley.FailureRow, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	var out []parley.FailureRow
	for _, r := range f.matching(q, after, limit) {
		row, err := r.row(false)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// Newest returns the rows that were stored last; see [parley.FailureOperator].
func (f *Failures) Newest(ctx context.Context, limit int) ([]parley.FailureRow, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	rows := f.matching(parley.FailureQuery{}, 0, 0)
	var out []parley.FailureRow
	for _, r := range slices.Backward(rows[max(0, len(rows)-limit):]) {
		row, err := r.row(false)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// Get returns one row; see [parley.FailureOperator].
func (f *Failures) Get(ctx context.Context, id int64) (parley.FailureRow, error) {
	if err := ctx.Err(); err != nil {
		return parley.FailureRow{}, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	r := f.rows[id]
	if r == nil {
		return parley.FailureRow{}, fmt.Errorf("memory: failed delivery %d: %w", id, parley.ErrNoFailure)
	}
	return r.row(true)
}

// row returns the row as operators see it; it shares nothing with the table.
func (r *failure) row(withBody bool) (parley.FailureRow, error) {
	row := r.FailureRow
	var err error
	if row.Message, err = r.message(withBody); err != nil {
		return row, fmt.Errorf("memory: failed delivery %d: %w", r.ID, err)
	}
	return row, nil
}

// matching returns up to limit rows that q selects with ids greater than after, in the order of their ids.
// A limit of 0 means all.
func (f *Failures) matching(q parley.FailureQuery, after int64, limit int) []*failure {
	candidates := f.order.after(after)
	if len(q.IDs) > 0 {
		candidates = f.withIDs(q.IDs, after)
	}
	var found []*failure
	for r := range candidates {
		if q.UpTo > 0 && r.ID > q.UpTo {
			break
		}
		if !r.matches(&q) {
			continue
		}
		found = append(found, r)
		if len(found) == limit {
			break
		}
	}
	return found
}

// withIDs yields the rows with these ids, in their order.
func (f *Failures) withIDs(ids []int64, after int64) func(yield func(*failure) bool) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	return func(yield func(*failure) bool) {
		for _, id := range ids {
			if r := f.rows[id]; r != nil && id > after && !yield(r) {
				return
			}
		}
	}
}

// matches reports whether q, apart from its ids, selects the row.
func (r *failure) matches(q *parley.FailureQuery) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(q.Consumer, r.Consumer) && is(q.Fingerprint, r.Fingerprint) && is(q.Exchange, r.Message.Exchange) &&
		is(q.RoutingKey, r.Message.RoutingKey) && is(q.MessageID, r.Message.ID) && is(q.Identity, r.Identity) &&
		(len(q.States) == 0 || slices.Contains(q.States, r.State))
}

// idle returns the rows that q selects and that are not running, and the number of running ones.
func (f *Failures) idle(q parley.FailureQuery) (idle []*failure, running int) {
	for _, r := range f.matching(q, 0, 0) {
		if r.State == parley.FailureRunning {
			running++
			continue
		}
		idle = append(idle, r)
	}
	return idle, running
}

// Replay makes rows due again; see [parley.FailureOperator].
func (f *Failures) Replay(ctx context.Context, q parley.FailureQuery, every time.Duration) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	due := time.Now()
	idle, _ := f.idle(q)
	for _, r := range idle {
		r.History.Replays++
		r.History.Retries, r.History.Reason, r.Begun = 0, "", 0
		f.place(r, due)
		due = due.Add(every)
	}
	f.store.operated(ctx, parley.ActionReplay, q.String(), failureIDs(idle))
	return len(idle), nil
}

// Edit replaces the body of a row; see [parley.FailureOperator].
func (f *Failures) Edit(ctx context.Context, id int64, body []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	r := f.rows[id]
	switch {
	case r == nil:
		return fmt.Errorf("memory: edit failed delivery %d: %w", id, parley.ErrNoFailure)
	case r.State == parley.FailureRunning:
		return fmt.Errorf("memory: edit failed delivery %d: %w", id, parley.ErrRunning)
	}
	f.store.edited(ctx, parley.ActionEdit, id, r.body, body)
	r.body, r.Size = bytes.Clone(body), len(body)
	return nil
}

// Drop deletes rows; see [parley.FailureOperator].
func (f *Failures) Drop(ctx context.Context, q parley.FailureQuery) (dropped, running int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	idle, running := f.idle(q)
	for _, r := range idle {
		f.remove(r)
	}
	f.store.operated(ctx, parley.ActionDrop, q.String(), failureIDs(idle))
	return len(idle), running, nil
}

// Move gives the rows of one consumer to another; see [parley.FailureOperator].
func (f *Failures) Move(ctx context.Context, from, to string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if from == to {
		return 0, nil
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	idle, _ := f.idle(parley.FailureQuery{Consumer: from})
	for _, r := range idle {
		f.move(r, to)
	}
	f.store.operated(ctx, parley.ActionMove, moveText(from, to), failureIDs(idle))
	return len(idle), nil
}

func (f *Failures) move(r *failure, to string) {
	state, due, parked := r.State, r.DueAt, r.ParkedAt
	f.detach(r)
	r.Consumer = to
	f.add(r)
	switch state {
	case parley.FailureParked:
		f.park(r, r.Holds)
		r.ParkedAt = parked
	case parley.FailureBehind:
		f.place(r, time.Now())
	default:
		f.place(r, due)
	}
}

// Stats counts rows; see [parley.FailureOperator].
func (f *Failures) Stats(ctx context.Context, consumer string) (parley.FailureStats, error) {
	if err := ctx.Err(); err != nil {
		return parley.FailureStats{}, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	var st parley.FailureStats
	counts := map[parley.FailureState]*int64{
		parley.FailureWaiting: &st.Waiting, parley.FailureBehind: &st.Behind,
		parley.FailureRunning: &st.Running, parley.FailureParked: &st.Parked,
	}
	now := time.Now()
	for r := range f.order.after(0) {
		if consumer != "" && r.Consumer != consumer {
			continue
		}
		if n := counts[r.State]; *n < parley.FailureStatsCap {
			*n++
		}
		switch r.State {
		case parley.FailureWaiting:
			st.OldestWaiting = max(st.OldestWaiting, now.Sub(r.DueAt))
		case parley.FailureParked:
			st.OldestParked = max(st.OldestParked, now.Sub(r.ParkedAt))
		}
	}
	return st, nil
}

// Consumers lists the names of all consumers that have rows, sorted.
func (f *Failures) Consumers(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	return slices.Sorted(maps.Keys(f.consumers)), nil
}
