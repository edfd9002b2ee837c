package parleytest

import (
	"time"

	"github.com/parley-go/parley"
)

// sentPromises are the promises about records that were published although their batch could not be settled, and about
// transactions of other sessions beside a relay.
func sentPromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "DeleteRemovesAndCounts", run: deleteRemovesAndCounts[Tx]},
		{name: "DeletionSparesARecordThatHasTakenTheID", run: deletionSparesATakenID[Tx]},
		{name: "RecordThatWasMovedMeanwhileIsNotDeleted", run: movedRecordIsNotDeleted[Tx]},
		{name: "DeletionWaitsForNoTransaction", run: deletionWaitsForNoTransaction[Tx], sideBySide: true},
		{name: "OpenTransactionHoldsUpOnlyWhatItHasChanged", run: openTransactionHoldsUpOnlyItsOwn[Tx], sideBySide: true},
	}
}

// published claims and releases all due records, as a relay does whose database failed after
// the broker confirmed the batch.
func (s *storeTest[Tx]) published() []parley.SentRecord {
	s.Helper()
	records := s.peek()
	sent := make([]parley.SentRecord, len(records))
	for i := range records {
		sent[i] = records[i].Sent()
	}
	return sent
}

func (s *storeTest[Tx]) deleteSent(sent ...parley.SentRecord) (deleted int, remaining []parley.SentRecord) {
	s.Helper()
	deleted, remaining, err := s.Store.Delete(s.ctx, sent)
	s.must(err, "delete what was sent")
	return deleted, remaining
}

func deleteRemovesAndCounts[Tx any](s *storeTest[Tx]) {
	ids := s.insert(append(numbered(3), scheduled(-time.Hour, map[string]string{"a": "b"}))...)
	sent := s.published()
	n, left := s.deleteSent(sent[0], sent[3])
	again, leftAgain := s.deleteSent(sent[0], sent[1])
	none, _ := s.deleteSent()
	if n != 2 || again != 1 || none != 0 {
		s.Errorf("deleted %d, %d and %d records, want 2, 1 and 0", n, again, none)
	}
	if len(left)+len(leftAgain) != 0 {
		s.Errorf("reported %v and %v as remaining, want nothing", left, leftAgain)
	}
	s.wantDue("after the deletes", ids[2])
}

// A database that was restored from a backup assigns ids a second time.
func deletionSparesATakenID[Tx any](s *storeTest[Tx]) {
	ids := s.insert(append(numbered(2), scheduled(-time.Hour, map[string]string{"a": "b"}))...)
	sent := s.published()
	older := func(r parley.SentRecord) parley.SentRecord {
		r.MessageID, r.CreatedAt = "of-another-record", r.CreatedAt.Add(-time.Minute)
		return r
	}
	n, left := s.deleteSent(older(sent[0]), sent[1], older(sent[2]))
	if n != 1 || len(left) != 2 {
		s.Fatalf("deleted %d records and reported %v as remaining, want 1 deleted and the two others reported", n, left)
	}
	for _, is := range left {
		if older(sent[0]).SameRecord(is) || older(sent[2]).SameRecord(is) {
			s.Errorf("%+v is reported as the record that was sent", is)
		}
	}
	s.wantDue("two records have the ids of other records that were sent", ids[0], ids[2])
}

// A Reschedule that has counted the record has promised that it is published at its new time.
func movedRecordIsNotDeleted[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	ids := s.insert(scheduled(-time.Hour, tags))
	sent := s.published()
	if n := s.reschedule(tags, time.Now().Add(-time.Minute)); n != 1 {
		s.Fatalf("moved %d records, want 1", n)
	}
	n, left := s.deleteSent(sent...)
	if n != 0 || len(left) != 1 {
		s.Fatalf("deleted %d records and reported %v as remaining, want the moved one reported", n, left)
	}
	if !sent[0].SameRecord(left[0]) || sent[0].Unchanged(left[0]) {
		s.Errorf("%+v is reported, want the same record as %+v with another due time", left[0], sent[0])
	}
	s.wantDue("moved to another time after the publication", ids...)
}

func deletionWaitsForNoTransaction[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	s.insert(scheduled(-time.Hour, tags), scheduled(-time.Hour, map[string]string{"user": "8"}))
	sent := s.published()
	tx := s.begin()
	_, err := s.Store.Cancel(s.ctx, tx, reminders(tags))
	s.must(err, "cancel")
	n, left := s.deleteSent(sent...)
	if n != 1 || len(left) != 1 || !sent[0].Unchanged(left[0]) {
		s.Errorf("deleted %d records and reported %v as remaining, want one of each, because the other one is locked", n, left)
	}
	s.rollback(tx)
	if n, left := s.deleteSent(sent...); n != 1 || len(left) != 0 {
		s.Errorf("after the transaction deleted %d and reported %v, want the record deleted", n, left)
	}
}

func openTransactionHoldsUpOnlyItsOwn[Tx any](s *storeTest[Tx]) {
	cancelled, moved := map[string]string{"user": "7"}, map[string]string{"user": "8"}
	ids := s.insert(numbered(2)...)
	ids = append(ids, s.insert(scheduled(-3*time.Hour, cancelled), scheduled(-2*time.Hour, moved), scheduled(-time.Hour, nil))...)
	tx := s.begin()
	_, err := s.Store.Cancel(s.ctx, tx, reminders(cancelled))
	s.must(err, "cancel")
	_, err = s.Store.Reschedule(s.ctx, tx, reminders(moved), time.Now().Add(-time.Minute))
	s.must(err, "reschedule")
	s.wantDue("one transaction has cancelled one record, moved another one, and stays open", ids[0], ids[1], ids[4])
	s.rollback(tx)
	s.wantDue("the transaction was rolled back", ids...)
}
