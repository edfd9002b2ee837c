package memory

import (
	"context"
	"time"

	"github.com/parley-go/parley"
)

// An identity is the inbox's key of a message.
type identity struct{ consumer, id string }

// A sighting is when an identity was recorded, and by which transaction if that is still open.
type sighting struct {
	at     time.Time
	writer *Tx
}

// Once runs fn within a transaction unless consumer has recorded the identity before; see
// [parley.InboxStore]. If fn panics, the transaction is rolled back and the panic continues.
func (s *Store) Once(ctx context.Context, consumer, id string, fn func(ctx context.Context, tx *Tx) error) error {
	return s.InTx(ctx, func(tx *Tx) error {
		if id != "" {
			if err := s.record(ctx, tx, identity{consumer, id}); err != nil {
				return err
			}
		}
		return fn(ctx, tx)
	})
}

// record notes an identity within tx. It waits for a transaction that has noted the same one.
func (s *Store) record(ctx context.Context, tx *Tx, id identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.inbox[id] != nil {
		writer := s.inbox[id].writer
		if writer == nil {
			return parley.ErrDuplicate
		}
		if err := tx.waitFor(ctx, writer); err != nil {
			return err
		}
	}
	s.inbox[id] = &sighting{at: time.Now(), writer: tx}
	tx.seen = &id
	return nil
}

// SweepInbox deletes a consumer's old identities, except those of failed deliveries; see [parley.InboxStore].
func (s *Store) SweepInbox(ctx context.Context, consumer string, age time.Duration, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for id, seen := range s.inbox {
		if n == limit {
			break
		}
		if id.consumer == consumer && seen.writer == nil && time.Since(seen.at) > age && s.failures.identities[id.id] == 0 {
			delete(s.inbox, id)
			n++
		}
	}
	return n, nil
}
