package parleytest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley"
)

// A TxStore is an outbox and an inbox in memory around transactions that are not parley's. So a handler for pgx.Tx is tested with a
// mock of pgx.Tx, and a handler for a type of your own, such as a set of repositories, with a fake of it. It has one transaction at a time.
type TxStore[Tx any] struct {
	run func(ctx context.Context, fn func(tx Tx) error) error

	open atomic.Bool

	mu      sync.Mutex // held during a transaction; guards the fields below
	lastID  int64
	seen    map[[2]string]time.Time // by consumer and identity
	records []parley.Record
}

// NewTxStore returns a store whose transactions are run by inTx. inTx begins a transaction, calls fn with it, commits if fn
// returns nil, and otherwise rolls back and returns fn's error. A nil inTx calls fn with the zero Tx.
func NewTxStore[Tx any](inTx func(ctx context.Context, fn func(tx Tx) error) error) *TxStore[Tx] {
	if inTx == nil {
		inTx = func(_ context.Context, fn func(tx Tx) error) error {
			var none Tx
			return fn(none)
		}
	}
	return &TxStore[Tx]{run: inTx, seen: map[[2]string]time.Time{}}
}

// Once implements parley.InboxStore.
func (s *TxStore[Tx]) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx Tx) error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{consumer, identity}
	if _, known := s.seen[key]; known {
		return parley.ErrDuplicate
	}
	before, committed := slices.Clone(s.records), false
	s.open.Store(true)
	defer func() {
		s.open.Store(false)
		if !committed { // an error or a panic
			s.records = before
		}
	}()
	if err := s.run(ctx, func(tx Tx) error { return fn(ctx, tx) }); err != nil {
		return err
	}
	committed = true
	if identity != "" {
		s.seen[key] = time.Now()
	}
	return nil
}

// SweepInbox implements parley.InboxStore.
func (s *TxStore[Tx]) SweepInbox(_ context.Context, consumer string, age time.Duration, limit int) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, at := range s.seen {
		if n < limit && key[0] == consumer && time.Since(at) > age {
			delete(s.seen, key)
			n++
		}
	}
	return n, nil
}

var errNoTx = errors.New("parleytest: no transaction of this TxStore is open (publish within Harness.InTx or a handler)")

// Insert implements parley.OutboxStore.
func (s *TxStore[Tx]) Insert(_ context.Context, _ Tx, records []parley.Record) error {
	if !s.open.Load() {
		return errNoTx
	}
	for i := range records {
		r := &records[i]
		unless := parley.Selection{Exchange: r.Exchange, RoutingKey: r.RoutingKey, Tags: r.UnlessTags}
		if len(r.UnlessTags) > 0 && slices.ContainsFunc(s.records, func(old parley.Record) bool { return selects(unless, old) }) {
			continue
		}
		s.lastID++
		r.ID = s.lastID
		s.records = append(s.records, *r)
	}
	return nil
}

// selects reports whether a selection includes a record.
func selects(sel parley.Selection, r parley.Record) bool {
	if sel.ID > 0 {
		return r.ID == sel.ID && !r.DueAt.IsZero()
	}
	for name, value := range sel.Tags {
		if has, ok := r.Tags[name]; !ok || has != value {
			return false
		}
	}
	return !r.DueAt.IsZero() && (sel.Exchange == "" || sel.Exchange == r.Exchange) && (sel.RoutingKey == "" || sel.RoutingKey == r.RoutingKey)
}

// Cancel implements parley.OutboxStore.
func (s *TxStore[Tx]) Cancel(_ context.Context, _ Tx, sel parley.Selection) (int, error) {
	if !s.open.Load() {
		return 0, errNoTx
	}
	before := len(s.records)
	s.records = slices.DeleteFunc(s.records, func(r parley.Record) bool { return selects(sel, r) })
	return before - len(s.records), nil
}

// Reschedule implements parley.OutboxStore.
func (s *TxStore[Tx]) Reschedule(_ context.Context, _ Tx, sel parley.Selection, due time.Time) (n int, err error) {
	if !s.open.Load() {
		return 0, errNoTx
	}
	for i := range s.records {
		if selects(sel, s.records[i]) {
			s.records[i].DueAt = due
			n++
		}
	}
	return n, nil
}

// Scheduled implements parley.OutboxStore.
func (s *TxStore[Tx]) Scheduled(_ context.Context, _ Tx, sel parley.Selection, limit int) (found []parley.Record, err error) {
	if !s.open.Load() {
		return nil, errNoTx
	}
	for _, r := range s.records {
		if selects(sel, r) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b parley.Record) int { return a.DueAt.Compare(b.DueAt) })
	return found[:min(limit, len(found))], nil
}

// Published implements [Log]: the messages of all transactions that have committed and were not cancelled.
func (s *TxStore[Tx]) Published() []parley.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := make([]parley.Message, len(s.records))
	for i, r := range s.records {
		r.Body = parley.FinishBody(r.Kind, r.ID, r.Body)
		messages[i] = r.Message
	}
	return messages
}
