package memory

import (
	"context"
	"time"

	"github.com/parley-go/parley"
)

// Once implements parley.InboxStore.
func (s *Store) Once(ctx context.Context, consumer, id string, fn func(ctx context.Context, tx *Tx) error) error {
	key := identity{consumer, id}
	if id != "" {
		if err := s.reserve(key); err != nil {
			return err
		}
	}
	committed := false
	defer func() {
		if id != "" {
			s.finish(key, committed)
		}
	}()
	err := s.InTx(ctx, func(tx *Tx) error { return fn(ctx, tx) })
	committed = err == nil
	return err
}

// reserve records an identity, waiting for a transaction that has recorded it but not ended.
func (s *Store) reserve(key identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.inbox[key] != nil && s.inbox[key].running {
		s.changed.Wait()
	}
	if s.inbox[key] != nil {
		return parley.ErrDuplicate
	}
	s.inbox[key] = &seen{at: time.Now(), running: true}
	return nil
}

func (s *Store) finish(key identity, committed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if committed {
		s.inbox[key].running = false
	} else {
		delete(s.inbox, key)
	}
	s.changed.Broadcast()
}

// SweepInbox implements parley.InboxStore.
func (s *Store) SweepInbox(_ context.Context, age time.Duration, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key, entry := range s.inbox {
		if n < limit && !entry.running && time.Since(entry.at) > age {
			delete(s.inbox, key)
			n++
		}
	}
	return n, nil
}
