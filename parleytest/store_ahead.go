package parleytest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// aheadPromises are the promises of batches that implement optional interfaces.
func aheadPromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "ClaimKeepsToItsBytes", run: claimKeepsToItsBytes[Tx]},
		{name: "BatchAheadHoldsWhatIsBehind", run: batchAheadHoldsWhatIsBehind[Tx]},
		{name: "BatchAheadTakesWhatWasCommittedLate", run: batchAheadTakesWhatWasCommittedLate[Tx], sideBySide: true},
		{name: "NobodyOvertakesABatchAhead", run: nobodyOvertakesABatchAhead[Tx]},
		{name: "ReleasedBatchAheadComesBack", run: releasedBatchAheadComesBack[Tx]},
		{name: "SettledBatchTellsTheNextDueTime", run: settledBatchTellsTheNextDueTime[Tx]},
	}
}

// ahead claims the batch after b. ok is false if the store cannot claim ahead.
func (s *storeTest[Tx]) ahead(b parley.Batch, limit int) (next parley.Batch, lead func(context.Context) error, ok bool) {
	s.Helper()
	from, ok := b.(parley.AheadBatch)
	if !ok {
		return nil, nil, false
	}
	next, lead, err := from.ClaimAhead(s.ctx, parley.ClaimOptions{Limit: limit})
	s.must(err, "claim ahead")
	s.Cleanup(func() { _ = next.Release(context.WithoutCancel(s.ctx)) })
	return next, lead, true
}

func (s *storeTest[Tx]) wantRecords(what string, b parley.Batch, want ...int64) {
	s.Helper()
	if got := idsOf(b.Records()); !slices.Equal(got, want) {
		s.Fatalf("%s: the batch has the records %v, want %v", what, got, want)
	}
}

func batchAheadHoldsWhatIsBehind[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(5)...)
	b := s.claim(2)
	next, lead, ok := s.ahead(b, 2)
	if !ok {
		return // relays claim one batch after another
	}
	s.wantRecords("ahead of the first two", next, ids[2:4]...)
	s.settle(b, ids[:2])
	s.must(lead(s.ctx), "take the lead")
	s.settle(next, ids[2:4])
	s.wantDue("after both batches", ids[4])
}

// An id is assigned before the commit, so a record that is committed late may precede the next records.
func batchAheadTakesWhatWasCommittedLate[Tx any](s *storeTest[Tx]) {
	late := s.begin()
	ids := s.insertIn(late, numbered(1)...)
	ids = append(ids, s.insert(numbered(3)...)...)
	b := s.claim(1)
	s.wantRecords("before the late commit", b, ids[1])
	s.commit(late)
	next, _, ok := s.ahead(b, 2)
	if !ok {
		return
	}
	s.wantRecords("after the late commit", next, ids[0], ids[2])
}

// Another relay may take the lead between the end of a batch and the next one.
func nobodyOvertakesABatchAhead[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(3)...)
	b := s.claim(1)
	next, lead, ok := s.ahead(b, 1)
	if !ok {
		return
	}
	s.settle(b, ids[:1])
	type claimed struct {
		b   parley.Batch
		err error
	}
	other := make(chan claimed, 1)
	go func() {
		b, err := s.Store.Claim(s.ctx, parley.ClaimOptions{Limit: 10})
		other <- claimed{b, err}
	}()
	patient := time.NewTimer(glance)
	<-patient.C // the other one has come by now; if not, it stands by below
	switch err := lead(s.ctx); {
	case err == nil:
		if c := receive(s.T, other, "the other relay's claim"); !errors.Is(c.err, parley.ErrStandby) {
			s.Fatalf("the other relay got %v, want ErrStandby: this one leads", c.err)
		}
		s.settle(next, ids[1:2])
	case errors.Is(err, parley.ErrStandby):
		s.release(next)
		c := receive(s.T, other, "the other relay's claim")
		s.must(c.err, "claim of the other relay")
		s.wantRecords("the other relay", c.b, ids[1:]...)
		s.settle(c.b, ids[1:2])
	default:
		s.Fatalf("take the lead: %v", err)
	}
	s.wantDue("after two of three", ids[2])
}

func releasedBatchAheadComesBack[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(3)...)
	b := s.claim(1)
	next, _, ok := s.ahead(b, 1)
	if !ok {
		return
	}
	s.release(next)
	s.release(b)
	s.wantDue("after both were released", ids...)
}

func settledBatchTellsTheNextDueTime[Tx any](s *storeTest[Tx]) {
	for _, scheduledToo := range []bool{false, true} {
		records := numbered(1)
		if scheduledToo {
			records = append(records, scheduled(time.Hour, nil))
		}
		ids := s.insert(records...)
		b := s.claim(10)
		s.settle(b, ids[:1])
		due, ok := b.(parley.DueBatch)
		if !ok {
			return // relays ask
		}
		wait, ok, known := due.NextDue()
		if !known || ok != scheduledToo || ok && (wait < 55*time.Minute || wait > 65*time.Minute) {
			s.Errorf("with a record for in an hour (%v): %v, %v, %v", scheduledToo, wait, ok, known)
		}
	}
}

// A backlog of large messages must neither exhaust a relay's memory nor stop it.
func claimKeepsToItsBytes[Tx any](s *storeTest[Tx]) {
	records := numbered(6)
	for i := range records {
		records[i].Body = []byte(strings.Repeat("x", 1000))
	}
	records[3].Body = []byte(strings.Repeat("x", 5000))
	late := scheduled(-time.Hour, nil)
	late.Body = records[3].Body
	ids := s.insert(append(records, late)...)
	var got []int64
	for range ids {
		b := s.claimWith(parley.ClaimOptions{Limit: 100, MaxBytes: 2500})
		size := 0
		for _, r := range b.Records() {
			if r.DueAt.IsZero() {
				size += len(r.Body)
				got = append(got, r.ID)
			}
		}
		if n := len(b.Records()); size > 2500 && n > 2 {
			s.Errorf("a batch of %d records has %d bytes, want at most 2500", n, size)
		}
		s.settle(b, idsOf(b.Records()))
	}
	if !slices.Equal(got, ids[:6]) {
		s.Errorf("claimed %v one batch after another, want %v", got, ids[:6])
	}
	s.wantDue("after one batch for each record")
}
