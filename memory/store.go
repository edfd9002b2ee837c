package memory

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

var (
	_ parley.OutboxStore[*Tx] = (*Store)(nil)
	_ parley.InboxStore[*Tx]  = (*Store)(nil)
	_ parley.RelaySource      = (*Store)(nil)
	_ parley.AheadBatch       = (*batch)(nil)
	_ parley.RelayWaker       = (*Store)(nil)
	_ parley.OutboxInspector  = (*Store)(nil)
	_ parley.ParkedStore      = (*Store)(nil)
)

// A Store is an outbox, an inbox and a table of failed deliveries in memory, with the transactions of a database
// at the level "read committed". Changes of a transaction are visible to others when it
// commits, and never if it rolls back. A transaction that wants to change rows changed by another open
// transaction waits for its end. The clock is time.Now, so it
// follows virtual time. A Store is safe for concurrent use.
type Store struct {
	mu       sync.Mutex    // guards the fields below and everything reachable from them
	changed  chan struct{} // closed, and replaced, when a waiting call may continue
	lastID   int64
	rows     map[int64]*row // the committed records, held ones included
	direct   idQueue        // those due at once that no relay holds
	timed    dueHeap[*row]  // the scheduled ones that no relay holds
	batches  int            // how many batches are held
	open     map[*Tx]struct{}
	parked   []parley.ParkedRecord // in the order of their ids
	lastPark int64
	inbox    map[identity]*sighting
	watchers map[*watcher]struct{}
	failures *Failures
	actions  actionLog
	pauses   pauses
}

// A row is a record in the table.
type row struct {
	parley.Record
	holder   *batch // the relay's batch that holds it
	writer   *Tx    // the open transaction that has changed it
	gone     bool   // the writer has cancelled it
	moved    time.Time
	position int  // in the heap of scheduled rows, -1 if it is not there
	deleted  bool // it is no longer in the table
}

func (r *row) due() (time.Time, int64) { return r.DueAt, r.Record.ID }
func (r *row) place() *int             { return &r.position }

type watcher struct{ wake func() }

// NewStore returns an empty store.
func NewStore() *Store {
	s := &Store{
		changed:  make(chan struct{}),
		rows:     map[int64]*row{},
		open:     map[*Tx]struct{}{},
		inbox:    map[identity]*sighting{},
		watchers: map[*watcher]struct{}{},
	}
	s.failures = newFailures(s)
	return s
}

// Pending returns the committed records that have not been sent, in the order of their
// ids, with the bodies that they will have on the wire.
func (s *Store) Pending() []parley.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]parley.Record, 0, len(s.rows))
	for _, r := range s.rows {
		out = append(out, r.record())
	}
	slices.SortFunc(out, func(a, b parley.Record) int { return int(a.ID - b.ID) })
	return out
}

// Published returns the messages of the pending records: they were published in
// committed transactions, and no relay has sent them yet. For assertions in tests.
func (s *Store) Published() []parley.Message {
	pending := s.Pending()
	out := make([]parley.Message, len(pending))
	for i := range pending {
		out[i] = pending[i].Message
	}
	return out
}

// record returns the row's record for a relay; it shares nothing with the row.
func (r *row) record() parley.Record {
	rec := r.Record
	rec.UnlessTags = nil
	rec.Headers = cloneHeaders(r.Headers)
	rec.Body = parley.FinishBody(r.Kind, r.ID, r.Body)
	if len(rec.Body) == len(r.Body) {
		rec.Body = slices.Clone(r.Body) // FinishBody returned the row's own body
	}
	if rec.Timestamp.IsZero() {
		rec.Timestamp = r.CreatedAt
	}
	return rec
}

// add puts a committed row into the table; s.mu is held, as in all functions below.
func (s *Store) add(r *row) {
	s.rows[r.Record.ID] = r
	r.deleted = false
	s.offer(r)
}

// offer makes a row that no relay holds available to relays.
func (s *Store) offer(r *row) {
	if r.DueAt.IsZero() {
		s.direct.insert(r)
		return
	}
	s.timed.add(r)
}

// remove deletes a row.
func (s *Store) remove(r *row) {
	delete(s.rows, r.Record.ID)
	r.deleted = true // the id queue drops it later
	if r.position >= 0 {
		s.timed.remove(r)
	}
}

// signal wakes the waiting calls, which check again.
func (s *Store) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait blocks until something has changed. It unlocks s.mu while it waits.
func (s *Store) wait(ctx context.Context) error {
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
		return nil
	}
}

// wake notifies the relays that records may be due. s.mu must not be held: it calls code outside this package.
func (s *Store) wake() {
	s.mu.Lock()
	if len(s.watchers) == 0 {
		s.mu.Unlock()
		return
	}
	watchers := make([]*watcher, 0, len(s.watchers))
	for w := range s.watchers {
		watchers = append(watchers, w)
	}
	s.mu.Unlock()
	for _, w := range watchers {
		w.wake()
	}
}

// Watch calls wake at each commit that may have made records due; see [parley.RelayWaker].
func (s *Store) Watch(ctx context.Context, wake func()) error {
	w := &watcher{wake}
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	}()
	wake()
	<-ctx.Done()
	return nil
}

// Stats counts the records; see [parley.OutboxInspector].
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
		if due.After(now) {
			st.Scheduled++
			continue
		}
		st.Due++
		st.OldestDue = max(st.OldestDue, now.Sub(due))
	}
	return st, nil
}
