package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// park parks a record; s.mu is held.
func (s *Store) park(p parley.Parked) {
	s.lastPark++
	m := p.Record.Message
	m.Body = bytes.Clone(m.Body)
	m.Headers = cloneHeaders(m.Headers)
	s.parked = append(s.parked, parley.ParkedRecord{
		ID: s.lastPark, RecordID: p.Record.ID, ParkedAt: time.Now(), Reason: p.Reason, Message: m,
	})
}

// ListParked lists parked records; see [parley.ParkedStore].
func (s *Store) ListParked(ctx context.Context, after int64, limit int) ([]parley.ParkedRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []parley.ParkedRecord
	for _, p := range s.parked {
		if p.ID > after && len(out) < limit {
			p.Body = bytes.Clone(p.Body)
			p.Headers = cloneHeaders(p.Headers)
			out = append(out, p)
		}
	}
	return out, nil
}

// ReplayParked moves parked records back into the outbox; see [parley.ParkedStore].
func (s *Store) ReplayParked(ctx context.Context, ids []int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n := s.replay(ctx, ids)
	if n > 0 {
		s.wake()
	}
	return n, nil
}

func (s *Store) replay(ctx context.Context, ids []int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.takeParked(ids)
	for _, p := range taken {
		rec := parley.Record{Message: p.Message, ID: p.RecordID}
		s.add(newRow(&rec))
	}
	s.operated(ctx, parley.ActionReplayRecord, parley.IDsText(ids), parkedIDs(taken))
	return len(taken)
}

// DropParked deletes parked records; see [parley.ParkedStore].
func (s *Store) DropParked(ctx context.Context, ids []int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.takeParked(ids)
	s.operated(ctx, parley.ActionDropRecord, parley.IDsText(ids), parkedIDs(taken))
	return len(taken), nil
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

// EditParked replaces the body of a parked record; see [parley.ParkedStore]. It returns an error
// if there is no such record.
func (s *Store) EditParked(ctx context.Context, id int64, body []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.parked {
		if s.parked[i].ID == id {
			if err := parley.CheckBody(s.parked[i].Kind, body); err != nil {
				return fmt.Errorf("memory: edit parked record %d: %w", id, err)
			}
			s.edited(ctx, parley.ActionEditRecord, id, s.parked[i].Body, body)
			s.parked[i].Body = bytes.Clone(body)
			return nil
		}
	}
	return fmt.Errorf("memory: edit parked record %d: no such record", id)
}
