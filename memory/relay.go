package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// Claim implements parley.RelaySource.
func (s *Store) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Mode == parley.ModeOrdered && s.batches > 0 {
		return nil, parley.ErrStandby
	}
	now := time.Now()
	var atOnce, scheduled []*row
	for _, r := range s.rows {
		switch {
		case r.held || r.gone || r.DueAt.After(now) || slices.Contains(o.Except, r.Exchange):
		case r.DueAt.IsZero():
			atOnce = append(atOnce, r)
		default:
			scheduled = append(scheduled, r)
		}
	}
	slices.SortStableFunc(scheduled, func(a, b *row) int { return a.DueAt.Compare(b.DueAt) })
	rows := append(atOnce, scheduled...)
	b := &batch{store: s, rows: rows[:min(len(rows), o.Limit)]}
	for _, r := range b.rows {
		r.held = true
	}
	s.batches++
	return b, nil
}

type batch struct {
	store *Store
	rows  []*row
	done  bool
}

// Records implements parley.Batch.
func (b *batch) Records() []parley.Record {
	out := make([]parley.Record, len(b.rows))
	for i, r := range b.rows {
		out[i] = r.Record
		out[i].Body = parley.FinishBody(r.Kind, r.ID, r.Body)
		if out[i].Timestamp.IsZero() {
			out[i].Timestamp = r.CreatedAt
		}
	}
	return out
}

// Settle implements parley.Batch.
func (b *batch) Settle(_ context.Context, sent []int64, parked []parley.Parked) (int, error) {
	s := b.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.done {
		return 0, errors.New("memory: batch has ended")
	}
	foreign := len(sent) - s.remove(sent)
	for _, p := range parked {
		if s.remove([]int64{p.Record.ID}) == 0 {
			foreign++
			continue
		}
		s.parkID++
		s.parked = append(s.parked, parley.ParkedRecord{
			ID: s.parkID, RecordID: p.Record.ID, ParkedAt: time.Now(), Reason: p.Reason, Message: p.Record.Message,
		})
	}
	b.end()
	return foreign, nil
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

func (b *batch) end() {
	b.done = true
	for _, r := range b.rows {
		r.held = false
	}
	b.store.batches--
	b.store.changed.Broadcast()
}

// remove deletes rows by id and returns how many there were.
func (s *Store) remove(ids []int64) int {
	if len(ids) == 0 {
		return 0
	}
	wanted := make(map[int64]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	before := len(s.rows)
	s.rows = slices.DeleteFunc(s.rows, func(r *row) bool { return wanted[r.ID] })
	return before - len(s.rows)
}

// Delete implements parley.RelaySource.
func (s *Store) Delete(_ context.Context, ids []int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(ids), nil
}

// NextDue implements parley.RelaySource.
func (s *Store) NextDue(context.Context) (time.Duration, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first time.Time
	for _, r := range s.rows {
		if !r.DueAt.IsZero() && !r.gone && !r.held && (first.IsZero() || r.DueAt.Before(first)) {
			first = r.DueAt
		}
	}
	return time.Until(first), !first.IsZero(), nil
}

// Watch implements parley.RelayWaker.
func (s *Store) Watch(ctx context.Context, wake func()) error {
	s.mu.Lock()
	s.waker = wake
	s.mu.Unlock()
	wake()
	<-ctx.Done()
	s.mu.Lock()
	s.waker = nil
	s.mu.Unlock()
	return nil
}

// Stats implements parley.OutboxInspector.
func (s *Store) Stats(context.Context) (parley.OutboxStats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := parley.OutboxStats{Parked: int64(len(s.parked))}
	now := time.Now()
	for _, r := range s.rows {
		due := r.DueAt
		if due.IsZero() {
			due = r.CreatedAt
		}
		switch {
		case r.gone:
		case due.After(now):
			st.Scheduled++
		default:
			st.Due++
			st.OldestDue = max(st.OldestDue, now.Sub(due))
		}
	}
	return st, nil
}

// ListParked implements parley.ParkedStore.
func (s *Store) ListParked(_ context.Context, after int64, limit int) ([]parley.ParkedRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.parked, func(p parley.ParkedRecord) bool { return p.ID > after })
	if i < 0 {
		return nil, nil
	}
	return slices.Clone(s.parked[i:min(len(s.parked), i+limit)]), nil
}

// ReplayParked implements parley.ParkedStore.
func (s *Store) ReplayParked(_ context.Context, ids []int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.takeParked(ids)
	for _, p := range taken {
		s.insert(&row{Record: parley.Record{Message: p.Message, ID: p.RecordID, CreatedAt: time.Now()}})
	}
	s.wakeUp()
	return len(taken), nil
}

// DropParked implements parley.ParkedStore.
func (s *Store) DropParked(_ context.Context, ids []int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.takeParked(ids)), nil
}

func (s *Store) takeParked(ids []int64) []parley.ParkedRecord {
	var taken []parley.ParkedRecord
	s.parked = slices.DeleteFunc(s.parked, func(p parley.ParkedRecord) bool {
		found := slices.Contains(ids, p.ID)
		if found {
			taken = append(taken, p)
		}
		return found
	})
	return taken
}

// EditParked implements parley.ParkedStore.
func (s *Store) EditParked(_ context.Context, id int64, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.parked {
		if s.parked[i].ID == id {
			s.parked[i].Body = slices.Clone(body)
			return nil
		}
	}
	return fmt.Errorf("memory: no parked record %d", id)
}
