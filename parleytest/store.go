package parleytest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A Store combines the interfaces that a driver's store implements.
type Store[Tx any] interface {
	parley.OutboxStore[Tx]
	parley.InboxStore[Tx]
	parley.RelaySource
	parley.OutboxInspector
	parley.ParkedStore
}

// A StoreUnderTest is an empty store and the ways to begin and end its transactions.
type StoreUnderTest[Tx any] struct {
	// Store is the store under test. If it implements parley.RelayWaker, that is tested too. Required.
	Store Store[Tx]
	// Begin, Commit and Rollback are those of the database. Rollback after the end of
	// the transaction may return an error, which is ignored. Required.
	Begin    func(ctx context.Context) (Tx, error)
	Commit   func(ctx context.Context, tx Tx) error
	Rollback func(ctx context.Context, tx Tx) error
	// SingleWriter states that a second transaction waits for the end of the first one,
	// as in SQLite. Promises about concurrent transactions are then skipped.
	SingleWriter bool
}

// TestStore runs each promise of an outbox store as a subtest. open returns a store
// with empty tables, and cleans up through t; it is called once for each subtest.
func TestStore[Tx any](t *testing.T, open func(t *testing.T) StoreUnderTest[Tx]) {
	promises := slices.Concat(insertPromises[Tx](), schedulePromises[Tx](), cancelPromises[Tx](),
		relayPromises[Tx](), reservePromises[Tx](), sentPromises[Tx](), aheadPromises[Tx](), parkedPromises[Tx](), inboxPromises[Tx]())
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			under := open(t)
			if p.sideBySide && under.SingleWriter {
				return // it holds, as nothing is side by side
			}
			p.run(&storeTest[Tx]{T: t, StoreUnderTest: under, ctx: deadline(t)})
		})
	}
}

// A storePromise is one promise and the function that checks it.
type storePromise[Tx any] struct {
	name       string
	run        func(s *storeTest[Tx])
	sideBySide bool // needs a transaction beside an open one
}

// A storeTest is one subtest. Its helpers fail the test on unexpected errors.
type storeTest[Tx any] struct {
	*testing.T
	StoreUnderTest[Tx]
	ctx context.Context // ends with the patience for this subtest
}

// begin begins a transaction that is rolled back at the end of the test.
func (s *storeTest[Tx]) begin() Tx {
	s.Helper()
	tx, err := s.Begin(s.ctx)
	if err != nil {
		s.Fatalf("begin: %v", err)
	}
	s.Cleanup(func() { _ = s.Rollback(context.WithoutCancel(s.ctx), tx) })
	return tx
}

func (s *storeTest[Tx]) commit(tx Tx) {
	s.Helper()
	s.must(s.Commit(s.ctx, tx), "commit")
}

func (s *storeTest[Tx]) rollback(tx Tx) {
	s.Helper()
	s.must(s.Rollback(s.ctx, tx), "roll back")
}

func (s *storeTest[Tx]) must(err error, what string) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// insertIn inserts within tx and returns the ids.
func (s *storeTest[Tx]) insertIn(tx Tx, records ...parley.Record) []int64 {
	s.Helper()
	s.must(s.Store.Insert(s.ctx, tx, records), "insert")
	ids := make([]int64, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	return ids
}

// insert inserts in a transaction of its own and returns the ids.
func (s *storeTest[Tx]) insert(records ...parley.Record) []int64 {
	s.Helper()
	tx := s.begin()
	ids := s.insertIn(tx, records...)
	s.commit(tx)
	return ids
}

// cancel cancels in a transaction of its own.
func (s *storeTest[Tx]) cancel(sel parley.Selection) int {
	s.Helper()
	tx := s.begin()
	n, err := s.Store.Cancel(s.ctx, tx, sel)
	s.must(err, "cancel")
	s.commit(tx)
	return n
}

// claim claims up to limit records for an ordered relay. The batch is released at the
// end of the test at the latest.
func (s *storeTest[Tx]) claim(limit int) parley.Batch {
	s.Helper()
	return s.claimWith(parley.ClaimOptions{Limit: limit})
}

func (s *storeTest[Tx]) claimWith(o parley.ClaimOptions) parley.Batch {
	s.Helper()
	b, err := s.Store.Claim(s.ctx, o)
	if err != nil {
		s.Fatalf("claim: %v", err)
	}
	s.Cleanup(func() { _ = b.Release(context.WithoutCancel(s.ctx)) })
	return b
}

func (s *storeTest[Tx]) release(b parley.Batch) {
	s.Helper()
	s.must(b.Release(s.ctx), "release")
}

func (s *storeTest[Tx]) settle(b parley.Batch, sent []int64, parked ...parley.Parked) int {
	s.Helper()
	deletedElsewhere, err := b.Settle(s.ctx, sent, parked)
	s.must(err, "settle")
	return deletedElsewhere
}

// peek claims and releases a batch, and returns its records.
func (s *storeTest[Tx]) peek() []parley.Record {
	s.Helper()
	b := s.claim(1000)
	records := b.Records()
	s.release(b)
	return records
}

// drain claims all due records, settles them as sent and returns them.
func (s *storeTest[Tx]) drain() []parley.Record {
	s.Helper()
	b := s.claim(1000)
	records := b.Records()
	s.settle(b, idsOf(records))
	return records
}

// wantDue compares the ids of the records that a relay would claim now.
func (s *storeTest[Tx]) wantDue(what string, want ...int64) {
	s.Helper()
	if got := idsOf(s.peek()); !slices.Equal(got, want) {
		s.Fatalf("%s: a relay gets the records %v, want %v", what, got, want)
	}
}

func idsOf(records []parley.Record) []int64 {
	ids := make([]int64, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	return ids
}

// command returns a record whose body is published unchanged.
func command(exchange, key, body string) parley.Record {
	return parley.Record{Message: parley.Message{
		Exchange: exchange, RoutingKey: key, Kind: parley.KindCommand, ID: unique("message"), Body: []byte(body),
	}}
}

// numbered returns n commands for one exchange.
func numbered(n int) []parley.Record {
	records := make([]parley.Record, n)
	for i := range records {
		records[i] = command("orders", "placed", fmt.Sprintf(`{"n": %d}`, i))
	}
	return records
}

// scheduled returns a record of exchange "mail" and key "remind" that is due after wait.
func scheduled(wait time.Duration, tags map[string]string) parley.Record {
	r := command("mail", "remind", `{"n": 1}`)
	r.DueAt = time.Now().Add(wait).Truncate(time.Millisecond)
	r.Tags = tags
	return r
}

// reminders selects the records that scheduled returns.
func reminders(tags map[string]string) parley.Selection {
	return parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: tags}
}
