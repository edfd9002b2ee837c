package memory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// Claim takes due records for a relay; see [parley.RelaySource]. It skips records that an open
// transaction has cancelled or rescheduled.
func (s *Store) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Mode == parley.RelayModeOrdered && s.batches > 0 {
		return nil, parley.ErrStandby
	}
	return s.claim(o), nil
}

func (s *Store) claim(o parley.ClaimOptions) *batch {
	within := func(room func(body int) bool) func(*row) bool {
		return func(r *row) bool { return !slices.Contains(o.Except, r.Exchange) && room(len(r.Body)) }
	}
	scheduled := within(o.Room(10))
	timed := s.takeTimed(o.Reserved(), scheduled)
	rows := s.direct.take(o.Limit-len(timed), within(o.Room(1)))
	rows = append(rows, timed...)
	rows = append(rows, s.takeTimed(o.Limit-len(rows), scheduled)...)
	b := &batch{store: s, rows: rows}
	for _, r := range rows {
		r.holder = b
	}
	s.batches++
	return b
}

// takeTimed removes up to limit due rows that ok accepts from the heap.
func (s *Store) takeTimed(limit int, ok func(*row) bool) []*row {
	now := time.Now()
	var taken, skipped []*row
	for len(s.timed) > 0 && len(taken) < limit && !s.timed[0].DueAt.After(now) {
		r := s.timed[0]
		s.timed.remove(r)
		if r.writer == nil && ok(r) {
			taken = append(taken, r)
		} else {
			skipped = append(skipped, r)
		}
	}
	for _, r := range skipped {
		s.timed.add(r)
	}
	return taken
}

// A batch is a set of rows that a relay holds.
type batch struct {
	store *Store
	rows  []*row
	done  bool
}

// Records implements parley.Batch.
func (b *batch) Records() []parley.Record {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	out := make([]parley.Record, len(b.rows))
	for i, r := range b.rows {
		out[i] = r.record()
	}
	return out
}

// ClaimAhead implements parley.AheadBatch. No other relay can take the lead meanwhile.
func (b *batch) ClaimAhead(ctx context.Context, o parley.ClaimOptions) (parley.Batch, func(context.Context) error, error) {
	s := b.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return s.claim(o), func(ctx context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !b.done {
			return errStillHeld
		}
		return ctx.Err()
	}, nil
}

var errStillHeld = errors.New("memory: the batch before this one is neither settled nor released")

var errBatchDone = errors.New("memory: the batch was settled or released before")

// Settle implements parley.Batch.
func (b *batch) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (int, error) {
	s := b.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if b.done {
		return 0, errBatchDone
	}
	missing := 0
	for _, id := range sent {
		if !b.remove(id) {
			missing++
		}
	}
	for _, p := range parked {
		if !b.remove(p.Record.ID) {
			missing++
			continue
		}
		s.park(p)
	}
	b.end()
	return missing, nil
}

// remove deletes a record of the batch and reports whether it still existed.
func (b *batch) remove(id int64) bool {
	r := b.store.rows[id]
	if r == nil || r.holder != b {
		return false
	}
	b.store.remove(r)
	return true
}

// Release implements parley.Batch.
func (b *batch) Release(context.Context) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if !b.done {
		b.end()
	}
	return nil
}

// end releases the rows that are still in the table.
func (b *batch) end() {
	s := b.store
	b.done = true
	for _, r := range b.rows {
		r.holder = nil
		if !r.deleted {
			s.offer(r)
		}
	}
	s.batches--
	s.signal()
}

// Delete removes records; see [parley.RelaySource].
func (s *Store) Delete(ctx context.Context, sent []parley.SentRecord) (deleted int, remaining []parley.SentRecord, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	for _, want := range sent {
		r := s.rows[want.ID]
		switch {
		case r == nil:
		case r.holder == nil && r.writer == nil && want.Unchanged(r.Record.Sent()):
			s.remove(r)
			deleted++
		default:
			remaining = append(remaining, r.Record.Sent())
		}
	}
	return deleted, remaining, nil
}

// NextDue returns how long it is until the next scheduled record that no relay holds is due; see
// [parley.RelaySource].
func (s *Store) NextDue(ctx context.Context) (time.Duration, bool, error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timed) == 0 {
		return 0, false, nil
	}
	return time.Until(s.timed[0].DueAt), true, nil
}
