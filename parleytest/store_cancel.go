package parleytest

import (
	"errors"
	"time"

	"github.com/parley-go/parley"
)

func cancelPromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "CancelMatchesASubsetOfTags", run: cancelMatchesASubsetOfTags[Tx]},
		{name: "CancelComparesTagsByteForByte", run: cancelComparesTagsByteForByte[Tx]},
		{name: "CancelledIsNeverClaimed", run: cancelledIsNeverClaimed[Tx]},
		{name: "CancelIsUndoneByRollback", run: cancelIsUndoneByRollback[Tx]},
		{name: "CancelLeavesRecordsDueAtOnceAlone", run: cancelLeavesDirectRecordsAlone[Tx]},
		{name: "CancelSeesItsOwnTransaction", run: cancelSeesItsOwnTransaction[Tx]},
		{name: "CancelWaitsForAHeldBatchAndDoesNotCountIt", run: cancelWaitsForAHeldBatch[Tx]},
		{name: "CancelledOrSentButNeverBoth", run: cancelledOrSentButNeverBoth[Tx]},
	}
}

func cancelMatchesASubsetOfTags[Tx any](s *storeTest[Tx]) {
	s.insert(
		scheduled(time.Hour, map[string]string{"user": "7", "kind": "photo", "shop": "x"}),
		scheduled(time.Hour, map[string]string{"user": "7", "kind": "name"}),
		scheduled(time.Hour, map[string]string{"user": "8", "kind": "photo"}),
		scheduled(time.Hour, nil),
	)
	for _, c := range []struct {
		tags map[string]string
		want int
	}{
		{map[string]string{"user": "9"}, 0},
		{map[string]string{"user": "7", "kind": "mail"}, 0},
		{map[string]string{"user": "7", "extra": "1"}, 0},
		{map[string]string{"user": "7", "kind": "photo"}, 1},
		{map[string]string{"user": "7"}, 1},
		{map[string]string{"kind": "photo"}, 1},
		{map[string]string{"kind": "photo"}, 0},
	} {
		if n := s.cancel(reminders(c.tags)); n != c.want {
			s.Errorf("cancelled %d records with the tags %v, want %d", n, c.tags, c.want)
		}
	}
	other := reminders(nil)
	other.RoutingKey = "other"
	if n := s.cancel(other); n != 0 {
		s.Errorf("cancelled %d records of another routing key", n)
	}
	other = reminders(nil)
	other.Exchange = "other"
	if n := s.cancel(other); n != 0 {
		s.Errorf("cancelled %d records of another exchange", n)
	}
}

func cancelComparesTagsByteForByte[Tx any](s *storeTest[Tx]) {
	values := []string{"a", "A", "a ", "ä", "1", "01", "", `"`, `\`, `'`, "%", "_", "{}", "\U0001F600", "true"}
	for _, v := range values {
		s.insert(scheduled(time.Hour, map[string]string{"tag " + v: v}))
	}
	for _, v := range values {
		if n := s.cancel(reminders(map[string]string{"tag " + v: v})); n != 1 {
			s.Errorf("cancelled %d records with the tag value %q, want only the one with exactly this value", n, v)
		}
	}
}

func cancelledIsNeverClaimed[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	s.insert(scheduled(-time.Hour, tags), scheduled(300*time.Millisecond, tags))
	kept := s.insert(scheduled(time.Second, map[string]string{"user": "8"}))
	if n := s.cancel(reminders(tags)); n != 2 {
		s.Errorf("cancelled %d records, want 2, the overdue one among them", n)
	}
	s.wantDue("all cancelled")
	// When this later record is due, the cancelled one would have been due too.
	eventually(s.T, "the record that was not cancelled is due", func() bool { return len(s.peek()) > 0 })
	s.wantDue("after the due time", kept...)
}

func cancelIsUndoneByRollback[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	ids := s.insert(scheduled(-time.Hour, tags))
	tx := s.begin()
	n, err := s.Store.Cancel(s.ctx, tx, reminders(tags))
	s.must(err, "cancel")
	if n != 1 {
		s.Errorf("cancelled %d records, want 1", n)
	}
	s.rollback(tx)
	s.wantDue("the cancellation was rolled back", ids...)
	if n := s.reschedule(tags, time.Now().Add(-time.Minute)); n != 1 {
		s.Errorf("moved %d records after the rollback, want 1", n)
	}
	s.wantDue("the cancellation was rolled back, and the record moved", ids...)
}

func cancelLeavesDirectRecordsAlone[Tx any](s *storeTest[Tx]) {
	direct := scheduled(0, nil)
	direct.DueAt = time.Time{}
	ids := s.insert(direct)
	if n := s.cancel(reminders(nil)); n != 0 {
		s.Errorf("cancelled %d records that are not scheduled", n)
	}
	s.wantDue("after a cancellation", ids...)
}

func cancelSeesItsOwnTransaction[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	tx := s.begin()
	s.insertIn(tx, scheduled(-time.Hour, tags))
	n, err := s.Store.Cancel(s.ctx, tx, reminders(tags))
	s.must(err, "cancel")
	again, err := s.Store.Cancel(s.ctx, tx, reminders(tags))
	s.must(err, "cancel again")
	s.commit(tx)
	if n != 1 || again != 0 {
		s.Errorf("cancelled %d and then %d records of its own transaction, want 1 and 0", n, again)
	}
	s.wantDue("inserted and cancelled in one transaction")
}

// outcome is the result of a Cancel in another goroutine.
type outcome struct {
	n   int
	err error
}

// cancelBeside cancels in a transaction of its own, in another goroutine.
func (s *storeTest[Tx]) cancelBeside(sel parley.Selection) <-chan outcome {
	done := make(chan outcome, 1)
	ended := make(chan struct{})
	s.Cleanup(func() { <-ended })
	go func() {
		defer close(ended)
		tx, err := s.Begin(s.ctx)
		if err != nil {
			done <- outcome{0, err}
			return
		}
		n, err := s.Store.Cancel(s.ctx, tx, sel)
		if err != nil {
			done <- outcome{0, errors.Join(err, s.Rollback(s.ctx, tx))}
			return
		}
		done <- outcome{n, s.Commit(s.ctx, tx)}
	}()
	return done
}

func cancelWaitsForAHeldBatch[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	sent := s.insert(scheduled(-time.Hour, tags))
	b := s.claim(10)
	s.insert(scheduled(time.Hour, tags))
	cancelled := s.cancelBeside(reminders(tags))
	if !s.SingleWriter { // there the relay could not settle while the canceller waited
		silent(s.T, cancelled, "Cancel did not wait for the relay that claimed a record")
	}
	s.settle(b, sent)
	got := receive(s.T, cancelled, "Cancel returned after the relay settled its batch")
	s.must(got.err, "cancel beside a held batch")
	if got.n != 1 {
		s.Errorf("cancelled %d records, want 1, because the other one was sent", got.n)
	}
}

func cancelledOrSentButNeverBoth[Tx any](s *storeTest[Tx]) {
	const rounds = 20
	tags := map[string]string{"user": "7"}
	var records []parley.Record
	for range rounds {
		records = append(records, scheduled(-time.Hour, tags))
	}
	s.insert(records...)
	b := s.claim(rounds / 2)
	cancelled := s.cancelBeside(reminders(tags))
	s.release(b)
	sent := 0
	for range rounds {
		b, err := s.Store.Claim(s.ctx, parley.ClaimOptions{Limit: 1})
		s.must(err, "claim")
		got := b.Records()
		s.settle(b, idsOf(got))
		sent += len(got)
	}
	got := receive(s.T, cancelled, "Cancel has returned")
	s.must(got.err, "cancel beside a relay")
	sent += len(s.drain())
	if got.n+sent != rounds {
		s.Errorf("of %d records %d were cancelled and %d sent", rounds, got.n, sent)
	}
}
