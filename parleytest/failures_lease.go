package parleytest

import (
	"errors"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

func leasePromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "LeaseOverMakesARowDueAgain", run: leaseOverMakesARowDueAgain[Tx]},
		{name: "LeaseOverAloneLosesNoClaim", run: leaseOverAloneLosesNoClaim[Tx]},
		{name: "RenewKeepsAClaim", run: renewKeepsAClaim[Tx]},
		{name: "RenewReportsLostClaims", run: renewReportsLostClaims[Tx]},
	}
}

func settlePromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "DoneDeletesTheRow", run: doneDeletesTheRow[Tx]},
		{name: "DoneOfAMissingRowIsNil", run: doneOfAMissingRow[Tx]},
		{name: "RetryMakesARowWaitWithItsHistory", run: retryMakesARowWait[Tx]},
		{name: "ParkSetsARowAside", run: parkSetsARowAside[Tx]},
		{name: "ReleaseGivesARowBackAsItWas", run: releaseGivesARowBack[Tx]},
		{name: "SettledClaimIsLost", run: settledClaimIsLost[Tx]},
	}
}

// wantAllLost checks that every use of a claim returns ErrClaimLost and that no row changes.
func (f *failureTest[Tx]) wantAllLost(c parley.ClaimedFailure) {
	f.Helper()
	before := f.list(parley.FailureQuery{})
	for _, action := range []parley.FailureAction{parley.FailureDone, parley.FailureRetry, parley.FailurePark, parley.FailureRelease} {
		o := parley.FailureOutcome{Action: action, After: time.Hour, History: c.History, Holds: true}
		f.wantLost("settle a lost claim", f.Failures.Settle(f.ctx, c.FailureClaim, o))
	}
	lost, err := f.Failures.Renew(f.ctx, []parley.FailureClaim{c.FailureClaim}, lasting)
	f.must(err, "renew")
	if !slices.Equal(lost, []parley.FailureClaim{c.FailureClaim}) {
		f.Errorf("renewing the lost claim %+v reports %+v as lost", c.FailureClaim, lost)
	}
	tx := f.begin()
	f.wantLost("done within a transaction", f.Failures.DoneIn(f.ctx, tx, c.FailureClaim))
	f.rollback(tx)
	after := f.list(parley.FailureQuery{})
	if len(before) != len(after) {
		f.Fatalf("a lost claim changed %d rows into %d", len(before), len(after))
	}
	for i := range after {
		if a, b := after[i], before[i]; a.State != b.State || !a.DueAt.Equal(b.DueAt) || a.Begun != b.Begun || a.Holds != b.Holds {
			f.Errorf("a lost claim changed the row %+v into %+v", b, a)
		}
	}
}

func leaseOverMakesARowDueAgain[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(identified("id:7"))[0]
	first := f.claimOne("the first claim", brief)
	second := f.claimAgain("the lease is over", brief)
	if second.ID != id || second.Number <= first.Number {
		f.Fatalf("claim %+v was followed by %+v, want row %d with a higher number", first.FailureClaim, second.FailureClaim, id)
	}
	f.wantAllLost(first)
	f.done(second)
	f.wantListed("after the second claim was done", parley.FailureQuery{})
}

// A late handler keeps its claim until another process claims the row.
func leaseOverAloneLosesNoClaim[Tx any](f *failureTest[Tx]) {
	f.keepIDs(failures(2)...)
	claimed := f.claim(2, brief)
	eventually(f.T, "the leases are over", func() bool {
		wait, ok, err := f.Failures.NextDue(f.ctx, billing)
		return err == nil && ok && wait < -brief/2
	})
	lost, err := f.Failures.Renew(f.ctx, claimsOf(claimed[:1]), lasting)
	if err != nil || len(lost) > 0 {
		f.Errorf("renewing a claim whose row was not claimed again: lost %+v, %v", lost, err)
	}
	f.done(claimed[0])
	f.done(claimed[1])
	f.wantListed("after both", parley.FailureQuery{})
}

func renewKeepsAClaim[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(3)...)
	claimed := f.claim(3, brief)
	lost, err := f.Failures.Renew(f.ctx, claimsOf(claimed[:2]), lasting)
	if err != nil || len(lost) > 0 {
		f.Fatalf("renew: lost %+v, %v", lost, err)
	}
	c := f.claimAgain("the lease of the claim that was not renewed is over", lasting)
	if c.ID != ids[2] {
		f.Errorf("row %d was claimed again, want %d, because the others were renewed", c.ID, ids[2])
	}
	f.wantDue("all rows are claimed")
	f.done(claimed[0])
	f.done(claimed[1])
	if lost, err := f.Failures.Renew(f.ctx, nil, lasting); err != nil || len(lost) > 0 {
		f.Errorf("renewing no claims: lost %+v, %v", lost, err)
	}
}

func renewReportsLostClaims[Tx any](f *failureTest[Tx]) {
	f.keepIDs(failures(4)...)
	claimed := f.claim(4, lasting)
	f.done(claimed[0])
	f.settle(claimed[2].FailureClaim, parley.FailureOutcome{Action: parley.FailurePark, History: claimed[2].History})
	lost, err := f.Failures.Renew(f.ctx, claimsOf(claimed), lasting)
	f.must(err, "renew")
	slices.SortFunc(lost, func(a, b parley.FailureClaim) int { return int(a.ID - b.ID) })
	if want := []parley.FailureClaim{claimed[0].FailureClaim, claimed[2].FailureClaim}; !slices.Equal(lost, want) {
		f.Errorf("renewing four claims, of which one row was deleted and one parked, reports %+v as lost, want %+v", lost, want)
	}
}

func doneDeletesTheRow[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(2)...)
	claimed := f.claim(2, lasting)
	f.done(claimed[0])
	f.wantListed("after the first was done", parley.FailureQuery{}, ids[1])
	if _, err := f.Failures.Get(f.ctx, ids[0]); !errors.Is(err, parley.ErrNoFailure) {
		f.Errorf("get a row that was handled: %v, want ErrNoFailure", err)
	}
}

// The handler's transaction has already deleted the row.
func doneOfAMissingRow[Tx any](f *failureTest[Tx]) {
	f.keepIDs(failed(`{}`))
	c := f.claimOne("one row", lasting)
	f.done(c)
	f.done(c)
	for _, action := range []parley.FailureAction{parley.FailureRetry, parley.FailurePark, parley.FailureRelease} {
		err := f.Failures.Settle(f.ctx, c.FailureClaim, parley.FailureOutcome{Action: action, History: c.History})
		f.wantLost("another outcome of a missing row", err)
	}
	f.wantListed("after all outcomes", parley.FailureQuery{})
}

// attempted returns the history after one more attempt.
func attempted(h parley.History) parley.History {
	h.Attempts++
	h.Retries++
	h.LastError, h.LastFailure = "still no stock", microseconds().Add(time.Second)
	return h
}

func retryMakesARowWait[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(2)...)
	claimed := f.claim(2, lasting)
	h := attempted(claimed[0].History)
	print := "fedcba9876543210fedcba9876543210"
	f.settle(claimed[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: time.Hour, History: h, Fingerprint: print})
	row := f.get(ids[0])
	if row.State != parley.FailureWaiting || row.Begun != 0 || row.Fingerprint != print || row.ClaimedBy != "" {
		f.Errorf("after a retry the row is %+v", row)
	}
	if wait := row.DueAt.Sub(row.CreatedAt); wait < time.Hour-time.Minute || wait > time.Hour+2*time.Minute {
		f.Errorf("after a retry in an hour the row is due %v after its creation", wait)
	}
	f.sameHistory(row.History, h)
	f.settle(claimed[1].FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: brief, History: h})
	again := f.claimAgain("the delay is over", lasting)
	if again.ID != ids[1] || again.Begun != 1 || again.Number <= claimed[1].Number {
		f.Errorf("after a retry %+v was claimed, want row %d with begun 1 and a number above %d", again, ids[1], claimed[1].Number)
	}
	f.sameHistory(again.History, h)
}

func parkSetsARowAside[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(failed(`{}`))[0]
	c := f.claimOne("one row", lasting)
	h := attempted(c.History)
	h.Reason = "out of retries"
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailurePark, History: h, Fingerprint: "00", Holds: true})
	row := f.get(id)
	if row.State != parley.FailureParked || !row.DueAt.IsZero() || row.ParkedAt.IsZero() || row.Begun != 0 || !row.Holds || row.Fingerprint != "00" {
		f.Errorf("the parked row is %+v", row)
	}
	f.sameHistory(row.History, h)
	f.wantDue("parked")
	if _, ok, err := f.Failures.NextDue(f.ctx, billing); ok || err != nil {
		f.Errorf("a parked row has a due time: %t, %v", ok, err)
	}
}

func releaseGivesARowBack[Tx any](f *failureTest[Tx]) {
	o := failed(`{}`)
	o.Begun = 1
	id := f.keepIDs(o)[0]
	for range 3 { // a shutdown is no crash, however often it happens
		c := f.claimOne("after a release", lasting)
		if c.Begun != 2 {
			f.Fatalf("the claim has begun %d, want 2", c.Begun)
		}
		f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease})
		row := f.get(id)
		if row.State != parley.FailureWaiting || row.Begun != 1 || row.ClaimedBy != "" {
			f.Fatalf("after a release the row is %+v, want it waiting with begun 1", row)
		}
		f.sameHistory(row.History, o.History)
	}
}

func settledClaimIsLost[Tx any](f *failureTest[Tx]) {
	f.keepIDs(failures(3)...)
	actions := []parley.FailureAction{parley.FailureRetry, parley.FailurePark, parley.FailureRelease}
	claimed := f.claim(3, lasting)
	for i, action := range actions {
		f.settle(claimed[i].FailureClaim, parley.FailureOutcome{Action: action, History: claimed[i].History})
	}
	for _, c := range claimed {
		f.wantAllLost(c)
	}
}

// sameHistory compares times to the microsecond, as databases keep them.
func (f *failureTest[Tx]) sameHistory(got, want parley.History) {
	f.Helper()
	times := [][2]time.Time{{got.FirstFailure, want.FirstFailure}, {got.LastFailure, want.LastFailure}}
	for _, t := range times {
		if !t[0].Equal(t[1]) {
			f.Errorf("the history has the time %v, want %v", t[0], t[1])
		}
	}
	want.FirstFailure, want.LastFailure = got.FirstFailure, got.LastFailure
	if got != want {
		f.Errorf("the history is %+v, want %+v", got, want)
	}
}
