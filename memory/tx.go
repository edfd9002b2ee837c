package memory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// A Tx is a transaction of a [Store]. It is not for concurrent use.
type Tx struct {
	store    *Store
	inserted []*row     // visible to others after the commit
	changed  []*row     // rows of others that it has cancelled or rescheduled
	seen     *identity  // recorded in the inbox
	removed  []*failure // failed deliveries that it has handled
	actions  []parley.Action
	waitsFor *Tx // the transaction whose end it waits for
	done     bool
}

// ErrTxDone is returned for a transaction that was committed or rolled back before.
var ErrTxDone = errors.New("memory: transaction has ended")

// ErrDeadlock is returned to a transaction that would wait for a transaction that waits for it.
var ErrDeadlock = errors.New("memory: deadlock: two transactions wait for each other")

// Begin starts a transaction. It must be committed or rolled back.
func (s *Store) Begin(ctx context.Context) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &Tx{store: s}
	s.open[tx] = struct{}{}
	return tx, nil
}

// InTx runs fn in a transaction. It commits if fn returns nil, and rolls back if fn
// fails or panics.
func (s *Store) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback() // a no-op after Commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// Commit makes the changes visible to others. If ctx has ended it rolls the transaction
// back instead. It returns ErrTxDone if the transaction has ended before.
func (tx *Tx) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		tx.rollback()
		return err
	}
	if err := tx.commit(); err != nil {
		return err
	}
	if len(tx.inserted)+len(tx.changed) > 0 {
		tx.store.wake()
	}
	return nil
}

func (tx *Tx) commit() error {
	s := tx.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if tx.done {
		return ErrTxDone
	}
	for _, r := range tx.inserted {
		s.add(r)
	}
	for _, r := range tx.changed {
		s.remove(r)
		if !r.gone {
			r.DueAt = r.moved
			s.add(r)
		}
		r.writer, r.moved = nil, time.Time{}
	}
	if tx.seen != nil {
		s.inbox[*tx.seen].writer = nil
	}
	for _, r := range tx.removed {
		s.failures.removeOnly(r)
	}
	for i := range tx.actions {
		s.actions.add(tx.actions[i])
	}
	tx.end()
	return nil
}

// Rollback discards the changes. It is harmless after the end of the transaction.
func (tx *Tx) Rollback(context.Context) error {
	tx.rollback()
	return nil
}

func (tx *Tx) rollback() {
	s := tx.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if tx.done {
		return
	}
	for _, r := range tx.changed {
		r.writer, r.gone, r.moved = nil, false, time.Time{}
	}
	if tx.seen != nil {
		delete(s.inbox, *tx.seen)
	}
	for _, r := range tx.removed {
		r.remover = nil
	}
	tx.end()
}

func (tx *Tx) end() {
	tx.done = true
	delete(tx.store.open, tx)
	tx.store.signal()
}

// waitFor waits until other, or a relay if other is nil, may have ended; the store's
// mutex is held.
func (tx *Tx) waitFor(ctx context.Context, other *Tx) error {
	for t := other; t != nil; t = t.waitsFor {
		if t == tx {
			return ErrDeadlock
		}
	}
	tx.waitsFor = other
	defer func() { tx.waitsFor = nil }()
	return tx.store.wait(ctx)
}

// acted logs a change of scheduled records if an operator makes it. The entry is visible after the commit.
func (tx *Tx) acted(ctx context.Context, action, filter string, changed int) {
	a, ok := parley.NewAction(ctx, action, filter)
	if !ok || changed == 0 {
		return
	}
	a.Changed = int64(changed)
	tx.actions = append(tx.actions, a)
}

// write marks a row of the table as changed by tx.
func (tx *Tx) write(r *row) {
	if r.writer == nil {
		r.writer, r.moved = tx, r.DueAt
		tx.changed = append(tx.changed, r)
	}
}

// dropInserted undoes the insertion of r.
func (tx *Tx) dropInserted(r *row) {
	tx.inserted = slices.DeleteFunc(tx.inserted, func(o *row) bool { return o == r })
}
