package parleytest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

func relayPromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "SecondOrderedRelayStandsBy", run: secondOrderedRelayStandsBy[Tx]},
		{name: "ParallelRelaysShareNothing", run: parallelRelaysShareNothing[Tx]},
		{name: "ClaimKeepsToItsLimit", run: claimKeepsToItsLimit[Tx]},
		{name: "ExceptedExchangesAreLeftAlone", run: exceptedExchangesAreLeftAlone[Tx]},
		{name: "SettleRemovesSentAndParksRefused", run: settleRemovesSentAndParksRefused[Tx]},
		{name: "ReleasedRecordsComeBack", run: releasedRecordsComeBack[Tx]},
		{name: "ReleaseAfterSettleDoesNothing", run: releaseAfterSettleDoesNothing[Tx]},
		{name: "SettleAfterReleaseFails", run: settleAfterReleaseFails[Tx]},
		{name: "BatchOutlivesTheContextOfItsClaim", run: batchOutlivesItsClaim[Tx]},
		{name: "RecordOfTheFarFutureIsNotDue", run: recordOfTheFarFutureIsNotDue[Tx]},
		{name: "RecordsDeletedElsewhereAreCounted", run: recordsDeletedElsewhereAreCounted[Tx]},
		{name: "StatsTellTheTruth", run: statsTellTheTruth[Tx]},
		{name: "DueRecordsAreListedInTheOrderOfTheRelay", run: dueRecordsAreListedInTheOrderOfTheRelay[Tx]},
		{name: "SummariesTellTheTruthUpToTheirLimit", run: summariesTellTheTruthUpToTheirLimit[Tx]},
		{name: "LeaderIsARelayWithABatch", run: leaderIsARelayWithABatch[Tx]},
		{name: "WakerWakesAtStartAndOnCommit", run: wakerWakesOnCommit[Tx]},
		{name: "WakerEndsWithItsContext", run: wakerEndsWithItsContext[Tx]},
	}
}

func secondOrderedRelayStandsBy[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(3)...)
	b := s.claim(1)
	_, err := s.Store.Claim(s.ctx, parley.ClaimOptions{Limit: 1})
	if !errors.Is(err, parley.ErrStandby) {
		s.Errorf("a second relay gets %v, want ErrStandby", err)
	}
	s.release(b)
	s.wantDue("after the first relay has released its batch", ids...)
}

func parallelRelaysShareNothing[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(6)...)
	ids = append(ids, s.insert(scheduled(-time.Hour, nil), scheduled(-time.Hour, nil))...)
	var all []int64
	var batches []parley.Batch
	for range 4 {
		b := s.claimWith(parley.ClaimOptions{Mode: parley.RelayModeParallel, Limit: 3})
		batches = append(batches, b)
		all = append(all, idsOf(b.Records())...)
	}
	slices.Sort(all)
	if !slices.Equal(all, ids) {
		s.Fatalf("four relays hold the records %v, want each of %v once", all, ids)
	}
	s.settle(batches[0], idsOf(batches[0].Records()))
	s.release(batches[1])
	b := s.claimWith(parley.ClaimOptions{Mode: parley.RelayModeParallel, Limit: 10})
	if got := len(b.Records()); got != 3 {
		s.Errorf("after one relay has released its batch another one gets %d records, want its 3", got)
	}
}

func claimKeepsToItsLimit[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(5)...)
	var got []int64
	for _, want := range []int{2, 2, 1, 0} {
		b := s.claim(2)
		batch := idsOf(b.Records())
		if len(batch) != want {
			s.Fatalf("claimed %d records, want %d", len(batch), want)
		}
		s.settle(b, batch)
		got = append(got, batch...)
	}
	if !slices.Equal(got, ids) {
		s.Errorf("claimed %v one batch after another, want %v", got, ids)
	}
}

func exceptedExchangesAreLeftAlone[Tx any](s *storeTest[Tx]) {
	late := scheduled(-time.Hour, nil)
	ids := s.insert(command("full", "a", `{}`), command("free", "a", `{}`), command("full", "b", `{}`), late)
	b := s.claimWith(parley.ClaimOptions{Limit: 10, Except: []string{"full", "mail", "it's"}})
	if got := idsOf(b.Records()); !slices.Equal(got, []int64{ids[1]}) {
		s.Errorf("got the records %v, want %v", got, ids[1:2])
	}
	s.release(b)
	s.wantDue("without exceptions", ids...)
}

func settleRemovesSentAndParksRefused[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(4)...)
	b := s.claim(10)
	records := b.Records()
	deletedElsewhere := s.settle(b, []int64{ids[0], ids[2]}, parley.Parked{Record: records[1], Reason: "too large: ü"})
	if deletedElsewhere != 0 {
		s.Errorf("%d records deleted elsewhere, want none", deletedElsewhere)
	}
	s.wantDue("two sent, one parked", ids[3])
	parked, err := s.Store.ListParked(s.ctx, 0, 10)
	s.must(err, "list parked")
	if len(parked) != 1 || parked[0].RecordID != ids[1] || parked[0].Reason != "too large: ü" {
		s.Errorf("parked records are %+v, want record %d", parked, ids[1])
	}
}

func releasedRecordsComeBack[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(2)...)
	ids = append(ids, s.insert(scheduled(-time.Hour, map[string]string{"a": "b"}))...)
	b := s.claim(10)
	before := b.Records()
	s.release(b)
	s.release(b)
	s.wantDue("after a release", ids...)
	after := s.peek()
	for i := range before {
		if before[i].Message.ID != after[i].Message.ID || string(before[i].Body) != string(after[i].Body) {
			s.Errorf("record %d was read as %+v after the release, want %+v", ids[i], after[i], before[i])
		}
	}
}

func releaseAfterSettleDoesNothing[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(2)...)
	b := s.claim(10)
	s.settle(b, ids[:1])
	s.release(b)
	s.wantDue("settled, then released", ids[1])
}

func settleAfterReleaseFails[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(1)...)
	b := s.claim(10)
	s.release(b)
	if _, err := b.Settle(s.ctx, ids, nil); err == nil {
		s.Errorf("a released batch could be settled, although another relay may have claimed its records")
	}
	s.wantDue("after a failed settlement", ids...)
}

// A relay that is stopped settles its batch after the context of the claim has ended.
func batchOutlivesItsClaim[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(2)...)
	ctx, stop := context.WithCancel(s.ctx)
	b, err := s.Store.Claim(ctx, parley.ClaimOptions{Limit: 1})
	s.must(err, "claim")
	s.Cleanup(func() { _ = b.Release(context.WithoutCancel(s.ctx)) })
	stop()
	// Drivers end work of the context in the background, which takes a moment.
	patient := time.NewTimer(glance)
	<-patient.C
	if _, err := s.Store.Claim(s.ctx, parley.ClaimOptions{Limit: 1}); !errors.Is(err, parley.ErrStandby) {
		s.Errorf("a second relay gets %v, want ErrStandby, because the first one is still publishing", err)
	}
	s.settle(b, ids[:1])
	s.wantDue("after the batch is settled", ids[1])
}

func recordOfTheFarFutureIsNotDue[Tx any](s *storeTest[Tx]) {
	r := scheduled(time.Hour, nil)
	r.DueAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	s.insert(r)
	wait, ok, err := s.Store.NextDue(s.ctx)
	s.must(err, "read the next due time")
	if !ok || wait < 24*time.Hour {
		s.Errorf("the next record is due in %v (%v): a relay would poll for it without a pause", wait, ok)
	}
	s.wantDue("before the year 9999")
}

func recordsDeletedElsewhereAreCounted[Tx any](s *storeTest[Tx]) {
	ids := s.insert(numbered(3)...)
	b := s.claim(1)
	gone := b.Records()
	s.settle(b, ids[:1])
	b = s.claim(10)
	deletedElsewhere := s.settle(b, ids[:2], parley.Parked{Record: gone[0], Reason: "refused"})
	if deletedElsewhere != 2 {
		s.Errorf("%d records deleted elsewhere, want 2: one sent record and the parked one were deleted before", deletedElsewhere)
	}
	s.wantDue("after that", ids[2])
	parked, err := s.Store.ListParked(s.ctx, 0, 10)
	s.must(err, "list parked")
	if len(parked) != 0 {
		s.Errorf("a record that was deleted before was parked: %+v", parked)
	}
}

func statsTellTheTruth[Tx any](s *storeTest[Tx]) {
	stats := func() parley.OutboxStats {
		st, err := s.Store.Stats(s.ctx)
		s.must(err, "stats")
		return st
	}
	if st := stats(); st != (parley.OutboxStats{}) {
		s.Errorf("an empty outbox has %+v", st)
	}
	ids := s.insert(append(numbered(3), scheduled(time.Hour, nil), scheduled(2*time.Hour, nil), scheduled(-time.Hour, nil))...)
	if st := stats(); st.Due != 4 || st.Scheduled != 2 || st.Parked != 0 || st.NeverDue != 0 ||
		st.OldestDue < 55*time.Minute || st.OldestDue > 65*time.Minute {
		s.Errorf("4 due, the oldest for an hour, 2 scheduled: got %+v", st)
	}
	b := s.claim(10)
	records := b.Records()
	s.settle(b, []int64{ids[0], ids[5]}, parley.Parked{Record: records[1], Reason: "refused"})
	if st := stats(); st.Due != 1 || st.Scheduled != 2 || st.Parked != 1 || st.OldestDue < 0 || st.OldestDue > time.Minute {
		s.Errorf("1 due just now, 2 scheduled, 1 parked: got %+v", st)
	}
}

func summariesTellTheTruthUpToTheirLimit[Tx any](s *storeTest[Tx]) {
	summarizer, ok := s.Store.(parley.OutboxSummarizer)
	if !ok {
		return
	}
	summary := func(limit int) parley.OutboxSummary {
		sum, err := summarizer.Summary(s.ctx, limit)
		s.must(err, "summary")
		return sum
	}
	if sum := summary(10); sum != (parley.OutboxSummary{}) {
		s.Errorf("an empty outbox has %+v", sum)
	}
	ids := s.insert(append(numbered(3), scheduled(time.Hour, nil), scheduled(2*time.Hour, nil), scheduled(-time.Hour, nil))...)
	if sum := summary(10); sum.Due != 4 || sum.Scheduled != 2 || sum.Parked != 0 || sum.NeverDue != 0 || sum.LastParked != nil || sum.Partial ||
		sum.OldestDue < 55*time.Minute || sum.OldestDue > 65*time.Minute {
		s.Errorf("4 due, the oldest for an hour, 2 scheduled: got %+v", sum)
	}
	if sum := summary(2); sum.Due != 2 && !sum.Partial || sum.Scheduled > 2 || sum.OldestDue < 0 {
		s.Errorf("with a limit of 2: got %+v", sum)
	}
	b := s.claim(10)
	records := b.Records()
	s.settle(b, []int64{ids[5]}, parley.Parked{Record: records[0], Reason: "refused"}, parley.Parked{Record: records[1], Reason: "refused last"})
	sum := summary(10)
	if sum.Due != 1 || sum.Scheduled != 2 || sum.Parked != 2 || sum.OldestParked < 0 || sum.OldestParked > time.Minute {
		s.Errorf("1 due, 2 scheduled, 2 parked: got %+v", sum)
	}
	if last := sum.LastParked; last != nil && (last.Reason != "refused last" || last.RecordID != records[1].ID || last.Exchange != records[1].Exchange) {
		s.Errorf("the last parked record is %+v, want the second one", last)
	}
}

func leaderIsARelayWithABatch[Tx any](s *storeTest[Tx]) {
	inspector, ok := s.Store.(parley.LeaderInspector)
	if !ok {
		return
	}
	leader := func() *parley.RelayLeader {
		l, err := inspector.Leader(s.ctx)
		s.must(err, "leader")
		return l
	}
	s.insert(numbered(1)...)
	if l := leader(); l != nil {
		s.Errorf("no relay works, but %+v leads", l)
	}
	b := s.claim(10)
	if l := leader(); l == nil || l.AtRest {
		s.Errorf("the leader with a batch is %+v", l)
	}
	s.must(b.Release(s.ctx), "release")
	if l := leader(); l != nil {
		s.Errorf("after its batch %+v still leads", l)
	}
}

// watch starts the store's Watch. stop ends it and returns its error.
func (s *storeTest[Tx]) watch(w parley.RelayWaker) (woken <-chan struct{}, stop func() error) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.Cleanup(cancel)
	wakes := make(chan struct{}, 1000)
	done := make(chan error, 1)
	go func() { done <- w.Watch(ctx, func() { wakes <- struct{}{} }) }()
	return wakes, func() error {
		cancel()
		return receive(s.T, done, "Watch has returned after its context has ended")
	}
}

func wakerWakesOnCommit[Tx any](s *storeTest[Tx]) {
	w, ok := s.Store.(parley.RelayWaker)
	if !ok {
		return // relays poll
	}
	woken, stop := s.watch(w)
	receive(s.T, woken, "a wake-up at the start of the watch")
	for range 3 {
		for len(woken) > 0 {
			<-woken
		}
		ids := s.insert(numbered(1)...)
		receive(s.T, woken, "a wake-up after a commit")
		s.wantDue("at the wake-up", ids...)
		s.drain()
	}
	s.must(stop(), "watch")
}

func wakerEndsWithItsContext[Tx any](s *storeTest[Tx]) {
	w, ok := s.Store.(parley.RelayWaker)
	if !ok {
		return // relays poll
	}
	woken, stop := s.watch(w)
	other, stopOther := s.watch(w)
	receive(s.T, woken, "a wake-up at the start of the watch")
	receive(s.T, other, "a wake-up at the start of a second watch")
	s.must(stop(), "watch")
	for len(other) > 0 {
		<-other
	}
	s.insert(numbered(1)...)
	receive(s.T, other, "a wake-up of the second watch after the end of the first")
	s.must(stopOther(), "second watch")
}
