package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// A Store is an outbox and an inbox in memory, with transactions: what is written
// in one is seen by others when it commits, and never if it rolls back.
type Store struct {
	mu      sync.Mutex // guards the fields below
	changed *sync.Cond // an inbox identity, a batch or a transaction has ended
	lastID  int64
	rows    []*row // committed, in the order of their ids
	parked  []parley.ParkedRecord
	parkID  int64
	batches int
	inbox   map[identity]*seen
	waker   func()
}

type row struct {
	parley.Record
	held bool // by a batch
	gone bool // deleted
}

type identity struct{ consumer, id string }

type seen struct {
	at      time.Time
	running bool // its first transaction has not ended
}

// NewStore returns an empty store.
func NewStore() *Store {
	s := &Store{inbox: map[identity]*seen{}}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// A Tx is a transaction. It is not for concurrent use.
type Tx struct {
	store   *Store
	inserts []*row
	undo    []func() // of changes made at once, in order
	done    bool
}

var errTxDone = errors.New("memory: transaction has ended")

// Begin starts a transaction.
func (s *Store) Begin(ctx context.Context) (*Tx, error) { return &Tx{store: s}, ctx.Err() }

// Commit makes the changes visible.
func (tx *Tx) Commit(context.Context) error {
	s := tx.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if tx.done {
		return errTxDone
	}
	tx.done = true
	now := time.Now()
	for _, r := range tx.inserts {
		r.CreatedAt = now
		s.insert(r)
	}
	s.wakeUp()
	return nil
}

// Rollback forgets the changes. It is a no-op after Commit.
func (tx *Tx) Rollback(context.Context) error {
	s := tx.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if tx.done {
		return nil
	}
	tx.done = true
	for _, undo := range slices.Backward(tx.undo) {
		undo()
	}
	return nil
}

// InTx runs fn in a transaction and commits if it returns nil.
func (s *Store) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func (s *Store) insert(r *row) {
	i, _ := slices.BinarySearchFunc(s.rows, r.ID, func(a *row, id int64) int { return cmp.Compare(a.ID, id) })
	s.rows = slices.Insert(s.rows, i, r)
}

func (s *Store) wakeUp() {
	if s.waker != nil {
		s.waker()
	}
	s.changed.Broadcast()
}

// Insert implements parley.OutboxStore.
func (s *Store) Insert(_ context.Context, tx *Tx, records []parley.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tx.done {
		return errTxDone
	}
	for i := range records {
		r := &records[i]
		if len(r.UnlessTags) > 0 && s.pending(tx, r) {
			continue
		}
		s.lastID++
		r.ID = s.lastID
		copied := &row{Record: *r}
		copied.Body = bytes.Clone(r.Body)
		copied.Headers = maps.Clone(r.Headers)
		tx.inserts = append(tx.inserts, copied)
	}
	return nil
}

func (s *Store) pending(tx *Tx, r *parley.Record) bool {
	sel := parley.Selection{Exchange: r.Exchange, RoutingKey: r.RoutingKey, Tags: r.UnlessTags}
	match := func(o *row) bool { return !o.gone && selects(sel, &o.Record) }
	return slices.ContainsFunc(s.rows, match) || slices.ContainsFunc(tx.inserts, match)
}

// selects tells whether a scheduled record is meant by sel.
func selects(sel parley.Selection, r *parley.Record) bool {
	if r.DueAt.IsZero() || sel.Exchange != "" && r.Exchange != sel.Exchange ||
		(sel.Exchange != "" || sel.RoutingKey != "") && r.RoutingKey != sel.RoutingKey {
		return false
	}
	for name, value := range sel.Tags {
		if got, ok := r.Tags[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Cancel implements parley.OutboxStore.
func (s *Store) Cancel(_ context.Context, tx *Tx, sel parley.Selection) (int, error) {
	return s.change(tx, sel, func(r *row) func() {
		r.gone = true
		return func() { r.gone = false }
	})
}

// Reschedule implements parley.OutboxStore.
func (s *Store) Reschedule(_ context.Context, tx *Tx, sel parley.Selection, due time.Time) (int, error) {
	return s.change(tx, sel, func(r *row) func() {
		old := r.DueAt
		r.DueAt = due
		return func() { r.DueAt = old }
	})
}

// change applies do to the scheduled rows that match, those of tx included. It waits while
// a relay holds one of them.
func (s *Store) change(tx *Tx, sel parley.Selection, do func(*row) func()) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tx.done {
		return 0, errTxDone
	}
	for slices.ContainsFunc(s.rows, func(r *row) bool { return r.held && !r.gone && selects(sel, &r.Record) }) {
		s.changed.Wait()
	}
	n := 0
	for _, r := range slices.Concat(s.rows, tx.inserts) {
		if !r.gone && selects(sel, &r.Record) {
			tx.undo = append(tx.undo, do(r))
			n++
		}
	}
	return n, nil
}

// Scheduled implements parley.OutboxStore.
func (s *Store) Scheduled(_ context.Context, tx *Tx, sel parley.Selection, limit int) ([]parley.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []parley.Record
	for _, r := range slices.Concat(s.rows, tx.inserts) {
		if !r.gone && selects(sel, &r.Record) {
			out = append(out, r.Record)
		}
	}
	slices.SortStableFunc(out, func(a, b parley.Record) int { return a.DueAt.Compare(b.DueAt) })
	return out[:min(limit, len(out))], nil
}

// Pending returns the committed records that have not been sent, in the order of their ids.
func (s *Store) Pending() []parley.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []parley.Record
	for _, r := range s.rows {
		if !r.gone {
			out = append(out, r.Record)
		}
	}
	return out
}
