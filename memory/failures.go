package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

var (
	_ parley.FailureStore    = (*Failures)(nil)
	_ parley.FailureOperator = (*Failures)(nil)
	_ parley.FailureTx[*Tx]  = (*Failures)(nil)
)

// Failures is the table of failed deliveries of a [Store]. Its clock is time.Now, so it follows virtual time.
// It is safe for concurrent use.
type Failures struct {
	store      *Store // its mutex guards the fields below and everything reachable from them
	lastID     int64
	order      failureList
	rows       map[int64]*failure
	repeats    map[string]*failure // by RepeatOf
	identities map[string]int      // how many rows have an identity
	consumers  map[string]*failures
}

// failures are the rows of one consumer.
type failures struct {
	count   int
	due     dueHeap[*failure]
	running map[*failure]struct{}
	keys    map[string]*failureKey
}

// A failure is a row.
type failure struct {
	parley.FailureRow // without the message, except for the fields that are searched
	envelope, body    []byte
	repeatOf          string
	claim             int64
	remover           *Tx // the open transaction that has deleted it
	position          int // in the heap of its consumer, -1 if it is not there
	key               *failureKey
	prev, next        *failure // in the list of its key
}

func (r *failure) due() (time.Time, int64) { return r.DueAt, r.ID }
func (r *failure) place() *int             { return &r.position }

func newFailures(s *Store) *Failures {
	f := &Failures{
		store: s, rows: map[int64]*failure{}, repeats: map[string]*failure{},
		identities: map[string]int{}, consumers: map[string]*failures{},
	}
	f.order.table = f
	return f
}

// Failures returns the store's table of failed deliveries.
func (s *Store) Failures() *Failures { return s.failures }

// Check always succeeds, because nothing can be missing.
func (f *Failures) Check(ctx context.Context) error { return ctx.Err() }

// lockWait is how long Keep waits for a transaction that has deleted the row of a repeated failure.
const lockWait = time.Second

// Keep writes failures; see [parley.FailureStore].
func (f *Failures) Keep(ctx context.Context, consumer string, list []parley.Failure) ([]parley.KeptFailure, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	envelopes := make([][]byte, len(list))
	for i := range list {
		if s := list[i].State; s != parley.FailureWaiting && s != parley.FailureParked {
			return nil, fmt.Errorf("memory: keep failed deliveries: the state of failure %d is %q (want waiting or parked)", i, s)
		}
		var err error
		if envelopes[i], err = parley.EncodeEnvelope(&list[i].Message); err != nil {
			return nil, fmt.Errorf("memory: keep failed deliveries: %w", err)
		}
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if err := f.awaitRepeats(ctx, list); err != nil {
		return nil, fmt.Errorf("memory: keep failed deliveries: wait for a transaction that handles one of them: %w", err)
	}
	kept := make([]parley.KeptFailure, len(list))
	for i := range list {
		kept[i] = f.keep(consumer, &list[i], envelopes[i])
	}
	return kept, nil
}

// awaitRepeats waits until no open transaction has deleted a row that a failure of list repeats.
func (f *Failures) awaitRepeats(ctx context.Context, list []parley.Failure) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for i := 0; i < len(list); i++ {
		r := f.repeats[string(list[i].RepeatOf)]
		if r == nil || r.remover == nil {
			continue
		}
		if err := f.store.wait(ctx); err != nil {
			return err
		}
		i = -1 // other transactions may have begun meanwhile
	}
	return nil
}

// keep adds one row, or counts a repeat; the store's mutex is held, as in all functions below.
func (f *Failures) keep(consumer string, o *parley.Failure, envelope []byte) parley.KeptFailure {
	if r := f.repeats[string(o.RepeatOf)]; r != nil {
		r.Repeats++
		return parley.KeptFailure{ID: r.ID, State: r.State, Repeat: true}
	}
	now := time.Now()
	f.lastID++
	r := &failure{
		FailureRow: parley.FailureRow{
			ID: f.lastID, Consumer: consumer, CreatedAt: now, Holds: o.Holds && o.State == parley.FailureParked,
			Key: o.Key, Identity: o.Identity, Begun: o.Begun, Size: len(o.Message.Body),
			Fingerprint: o.Fingerprint, History: cleanHistory(o.History),
			Message: parley.Message{Exchange: o.Message.Exchange, RoutingKey: o.Message.RoutingKey, ID: o.Message.ID},
		},
		envelope: envelope, body: bytes.Clone(o.Message.Body), repeatOf: string(o.RepeatOf), position: -1,
	}
	f.add(r)
	if o.State == parley.FailureParked {
		f.park(r, r.Holds)
	} else {
		f.place(r, now.Add(o.After))
	}
	return parley.KeptFailure{ID: r.ID, State: r.State}
}

// errorLimit is the largest length of an error or reason.
const errorLimit = 1000

// cleanHistory returns h with texts that a database's text column accepts.
func cleanHistory(h parley.History) parley.History {
	h.FirstError = parley.CleanText(h.FirstError, errorLimit)
	h.LastError = parley.CleanText(h.LastError, errorLimit)
	h.Reason = parley.CleanText(h.Reason, errorLimit)
	return h
}

// message returns the message as it was kept; it shares nothing with the row.
func (r *failure) message(withBody bool) (parley.Message, error) {
	m, err := parley.DecodeEnvelope(r.envelope)
	if withBody {
		m.Body = slices.Clone(r.body)
	}
	return m, err
}

// KeysWithRows reports which keys have rows; see [parley.FailureStore].
func (f *Failures) KeysWithRows(ctx context.Context, consumer string, keys []string) (map[string]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	found := map[string]bool{}
	c := f.consumers[consumer]
	if c == nil {
		return found, nil
	}
	for _, key := range keys {
		if c.keys[key] != nil {
			found[key] = true
		}
	}
	return found, nil
}

// NextDue returns how long it is until the earliest row is due; see [parley.FailureStore].
func (f *Failures) NextDue(ctx context.Context, consumer string) (wait time.Duration, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	c := f.consumers[consumer]
	if c == nil || len(c.due) == 0 {
		return 0, false, nil
	}
	return time.Until(c.due[0].DueAt), true, nil
}

// Sweep promotes keys left behind and deletes old parked rows; see [parley.FailureStore].
func (f *Failures) Sweep(ctx context.Context, consumer string, retention time.Duration, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	c := f.consumers[consumer]
	if c == nil {
		return 0, nil
	}
	n := 0
	for _, k := range c.keys {
		if f.promote(k) {
			n++
		}
	}
	if retention <= 0 {
		return n, nil
	}
	var old []*failure
	for r := range f.order.after(0) {
		if len(old) >= limit {
			break
		}
		if r.Consumer == consumer && r.State == parley.FailureParked && time.Since(r.ParkedAt) > retention {
			old = append(old, r)
		}
	}
	for _, r := range old {
		f.remove(r)
	}
	return n + len(old), nil
}
