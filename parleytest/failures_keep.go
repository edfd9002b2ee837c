package parleytest

import (
	"errors"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

func keepPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "AUsableTablePassesTheCheck", run: usableTablePassesTheCheck[Tx]},
		{name: "KeptFailureIsThereAfterItReturns", run: keptFailureIsThere[Tx]},
		{name: "KeepIsAllOrNothing", run: keepIsAllOrNothing[Tx]},
		{name: "RepeatOnlyCounts", run: repeatOnlyCounts[Tx]},
		{name: "RepeatWithinOneKeepOnlyCounts", run: repeatWithinOneKeep[Tx]},
		{name: "RepeatOfAClaimedRowOnlyCounts", run: repeatOfAClaimedRow[Tx]},
		{name: "RepeatAfterAnEditOnlyCounts", run: repeatAfterAnEdit[Tx]},
		{name: "RepeatOfAHandledRowIsANewRow", run: repeatOfAHandledRow[Tx]},
		{name: "RepeatsInParallelAreOneRow", run: repeatsInParallel[Tx]},
		{name: "WithoutIdentityEqualMessagesAreTwoRows", run: withoutIdentityTwoRows[Tx]},
		{name: "KeepWaitsOnlyBrieflyForALock", run: keepWaitsOnlyBriefly[Tx], sideBySide: true},
		{name: "FailureIsDueAfterItsDelay", run: failureIsDueAfterItsDelay[Tx]},
		{name: "ConsumersAreSeparate", run: consumersAreSeparate[Tx]},
		{name: "NextDueIsTheEarliestOfTheConsumer", run: nextDueIsTheEarliest[Tx]},
	}
}

func usableTablePassesTheCheck[Tx any](f *failureTest[Tx]) {
	f.must(f.Failures.Check(f.ctx), "check")
}

func keptFailureIsThere[Tx any](f *failureTest[Tx]) {
	o := identified("id:7")
	o.Key, o.Begun = "user-7", 1
	o.History.Retries, o.History.Replays, o.History.LastError = 2, 3, "no stock either"
	before := microseconds()
	kept := f.keep(billing, o, parked(failed(`{}`)))
	if kept[0].ID == 0 || kept[0].State != parley.FailureWaiting || kept[0].Repeat || kept[1].State != parley.FailureParked || kept[1].ID <= kept[0].ID {
		f.Fatalf("a waiting and a parked failure were kept as %+v", kept)
	}
	row := f.get(kept[0].ID)
	if row.Consumer != billing || row.Key != "user-7" || row.Identity != "id:7" || row.Begun != 1 || row.Repeats != 0 ||
		row.Fingerprint != o.Fingerprint || row.Size != len(o.Message.Body) || row.ClaimedBy != "" || row.DueAt.IsZero() || !row.ParkedAt.IsZero() {
		f.Errorf("the row is %+v, kept was %+v", row, o)
	}
	// The clock of the server may differ from the local one, but not by a day.
	if age := row.CreatedAt.Sub(before).Abs(); age > 24*time.Hour {
		f.Errorf("the row was created at %v, want about %v", row.CreatedAt, before)
	}
	f.sameHistory(row.History, o.History)
	f.sameMessage(&row.Message, &o.Message)
	second := f.get(kept[1].ID)
	if second.ParkedAt.IsZero() || !second.DueAt.IsZero() || second.Holds || second.History.Reason != "out of retries" {
		f.Errorf("the parked row is %+v", second)
	}
}

func keepIsAllOrNothing[Tx any](f *failureTest[Tx]) {
	bad := failed(`{}`)
	bad.Message.Headers = map[string]any{"impossible": struct{}{}}
	_, err := f.Failures.Keep(f.ctx, billing, []parley.Failure{failed(`{}`), bad, failed(`{}`)})
	if !errors.Is(err, parley.ErrRefused) {
		f.Errorf("keeping a header that no message can have: %v, want ErrRefused", err)
	}
	f.wantListed("after Keep of three failures, one of them refused", parley.FailureQuery{})
	if kept, err := f.Failures.Keep(f.ctx, billing, nil); err != nil || len(kept) != 0 {
		f.Errorf("keeping no failures: %v, %v", kept, err)
	}
}

// wantRepeat keeps o, which must be a repeat of row id.
func (f *failureTest[Tx]) wantRepeat(o parley.Failure, id int64, state parley.FailureState, repeats int) {
	f.Helper()
	if kept := f.keep(billing, o)[0]; kept.ID != id || !kept.Repeat || kept.State != state {
		f.Fatalf("a repeat was kept as %+v, want row %d as it was (%s)", kept, id, state)
	}
	row := f.get(id)
	if row.Repeats != repeats || row.State != state {
		f.Fatalf("after a repeat row %d is %s with %d repeats, want %s with %d", id, row.State, row.Repeats, state, repeats)
	}
}

func repeatOnlyCounts[Tx any](f *failureTest[Tx]) {
	o := identified("id:7")
	o.After = time.Hour
	id := f.keepIDs(o)[0]
	again := identified("id:7") // due at once
	again.History.LastError, again.Begun = "another error", 5
	f.wantRepeat(again, id, parley.FailureWaiting, 1)
	f.wantRepeat(parked(again), id, parley.FailureWaiting, 2)
	row := f.get(id)
	f.sameHistory(row.History, o.History)
	if row.Begun != 0 {
		f.Errorf("a repeat set begun to %d", row.Begun)
	}
	f.wantDue("a repeat does not change the due time")
	f.wantListed("after two repeats", parley.FailureQuery{}, id)
}

func repeatWithinOneKeep[Tx any](f *failureTest[Tx]) {
	kept := f.keep(billing, identified("id:7"), identified("id:8"), identified("id:7"))
	if kept[0].Repeat || kept[1].Repeat || !kept[2].Repeat || kept[2].ID != kept[0].ID {
		f.Errorf("the third failure repeats the first, but was kept as %+v", kept)
	}
	f.wantListed("after one Keep", parley.FailureQuery{}, kept[0].ID, kept[1].ID)
}

func repeatOfAClaimedRow[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(identified("id:7"))[0]
	c := f.claimOne("the first delivery", lasting)
	f.wantRepeat(identified("id:7"), id, parley.FailureRunning, 1)
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, History: c.History})
	if row := f.get(id); row.Repeats != 1 {
		f.Errorf("after the retry the row has %d repeats, want 1", row.Repeats)
	}
	f.done(f.claimOne("after the retry", lasting))
	f.wantListed("after it was handled", parley.FailureQuery{})
}

func repeatAfterAnEdit[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(parked(identified("id:7")))[0]
	f.must(f.Failures.Edit(f.ctx, id, []byte(`{"edited": true}`)), "edit")
	f.wantRepeat(identified("id:7"), id, parley.FailureParked, 1)
	if row := f.get(id); string(row.Message.Body) != `{"edited": true}` {
		f.Errorf("after edit and repeat the body is %s", row.Message.Body)
	}
}

func repeatOfAHandledRow[Tx any](f *failureTest[Tx]) {
	first := f.keepIDs(identified("id:7"))[0]
	f.done(f.claimOne("the first one", lasting))
	kept := f.keep(billing, identified("id:7"))[0]
	if kept.Repeat || kept.ID <= first {
		f.Errorf("after row %d was handled its repeat was kept as %+v, want a new row", first, kept)
	}
}

func repeatsInParallel[Tx any](f *failureTest[Tx]) {
	const workers = 8
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			_, err := f.Failures.Keep(f.ctx, billing, []parley.Failure{identified("id:7")})
			errs <- err
		})
	}
	wg.Wait()
	for range workers {
		f.must(<-errs, "keep in parallel")
	}
	rows := f.list(parley.FailureQuery{})
	if len(rows) != 1 || rows[0].Repeats != workers-1 {
		f.Errorf("%d deliveries of one message in parallel became %d rows: %+v", workers, len(rows), rows)
	}
}

func withoutIdentityTwoRows[Tx any](f *failureTest[Tx]) {
	o := failed(`{}`)
	kept := f.keep(billing, o, o)
	if kept[0].ID == kept[1].ID || kept[0].Repeat || kept[1].Repeat {
		f.Errorf("two equal messages without an identity were kept as %+v, want two rows", kept)
	}
}

// While a handler's transaction has deleted a row, a repeat of it can be neither counted nor written.
func keepWaitsOnlyBriefly[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(identified("id:7"))[0]
	c := f.claimOne("the first delivery", lasting)
	tx := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, tx, c.FailureClaim), "done within a transaction")
	start := time.Now()
	_, err := f.Failures.Keep(f.ctx, billing, []parley.Failure{failed(`{}`), identified("id:7")})
	if err == nil {
		f.Errorf("a repeat of a row that an open transaction has deleted was kept")
	}
	if errors.Is(err, parley.ErrRefused) {
		f.Errorf("waiting for a lock is reported as ErrRefused: %v", err)
	}
	if waited := time.Since(start); waited > patience/2 {
		f.Errorf("Keep waited %v for a lock, want about 1s", waited)
	}
	f.wantListed("after a lock timeout", parley.FailureQuery{}, id)
	f.rollback(tx)
	f.wantRepeat(identified("id:7"), id, parley.FailureRunning, 1)
}

func failureIsDueAfterItsDelay[Tx any](f *failureTest[Tx]) {
	later, soon := failed(`{}`), failed(`{}`)
	later.After, soon.After = time.Hour, brief
	ids := f.keepIDs(later, soon)
	row := f.get(ids[0])
	if wait := row.DueAt.Sub(row.CreatedAt); wait < time.Hour-time.Minute || wait > time.Hour+time.Minute {
		f.Errorf("a failure that was kept for an hour is due %v after its creation", wait)
	}
	if c := f.claimAgain("a failure is due after its delay", lasting); c.ID != ids[1] {
		f.Errorf("row %d is due, want %d", c.ID, ids[1])
	}
	f.wantDue("before the delay is over")
}

func consumersAreSeparate[Tx any](f *failureTest[Tx]) {
	mine := f.keepIDs(keyed("user-7"))[0]
	other := f.keep("shipping", keyed("user-7"))[0]
	if other.State != parley.FailureWaiting {
		f.Errorf("the first row of a key is %s because another consumer has one", other.State)
	}
	c := f.wantDue("of the first consumer", mine)[0]
	if rows, err := f.Failures.KeysWithRows(f.ctx, "mail", []string{"user-7"}); err != nil || rows["user-7"] {
		f.Errorf("a third consumer has rows of the key: %v, %v", rows, err)
	}
	if _, ok, err := f.Failures.NextDue(f.ctx, "mail"); err != nil || ok {
		f.Errorf("a third consumer has a due time: %t, %v", ok, err)
	}
	f.done(c)
	f.wantListed("of the second consumer", parley.FailureQuery{Consumer: "shipping"}, other.ID)
	claimed, err := f.Failures.Claim(f.ctx, "shipping", parley.FailureClaimOptions{Limit: 10, KeyRun: 10, Owner: "w", Lease: lasting})
	f.must(err, "claim")
	if len(claimed) != 1 || claimed[0].ID != other.ID || claimed[0].Consumer != "shipping" {
		f.Errorf("the second consumer has claimed %+v, want row %d", claimed, other.ID)
	}
}

func nextDueIsTheEarliest[Tx any](f *failureTest[Tx]) {
	nextDue := func(what string, least, most time.Duration) {
		f.Helper()
		wait, ok, err := f.Failures.NextDue(f.ctx, billing)
		f.must(err, "next due")
		if !ok || wait < least || wait > most {
			f.Errorf("%s: the next row is due in %v (%t), want %v to %v", what, wait, ok, least, most)
		}
	}
	f.keepIDs(parked(failed(`{}`)))
	if _, ok, err := f.Failures.NextDue(f.ctx, billing); ok || err != nil {
		f.Errorf("a parked row has a due time: %t, %v", ok, err)
	}
	later := failed(`{}`)
	later.After = 10 * time.Hour
	f.keepIDs(later)
	nextDue("one row, in ten hours", 9*time.Hour, 11*time.Hour)
	f.keepIDs(keyed("user-7"), keyed("user-7"))
	nextDue("another one, due already", -time.Hour, 0)
	c := f.claimOne("the due one", 2*time.Hour)
	nextDue("the end of a lease is a due time", time.Hour, 3*time.Hour)
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: 4 * time.Hour, History: c.History})
	nextDue("after a retry", 3*time.Hour, 5*time.Hour)
}
