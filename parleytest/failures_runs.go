package parleytest

import (
	"slices"
	"time"

	"github.com/parley-go/parley"
)

func keyRunPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "ClaimTakesARunOfAKeyInOrder", run: claimTakesARun[Tx]},
		{name: "RunKeepsToItsBytes", run: runKeepsToItsBytes[Tx]},
		{name: "RunIsSettledInOrder", run: runIsSettledInOrder[Tx]},
		{name: "RestOfARunGoesBackBehind", run: restOfARunGoesBack[Tx]},
		{name: "RunWhoseLeaseIsOverStartsWithItsFirstRow", run: runWhoseLeaseIsOver[Tx]},
		{name: "RunEndsBeforeASuspect", run: runEndsBeforeASuspect[Tx]},
		{name: "RestOfARunIsNotDueBeforeItsFirstRow", run: restIsNotDueBeforeTheFirst[Tx]},
	}
}

// claimRun claims up to limit keys with up to keyRun rows each.
func (f *failureTest[Tx]) claimRun(limit, keyRun int, lease time.Duration) []parley.ClaimedFailure {
	f.Helper()
	return f.claimWith(parley.FailureClaimOptions{Limit: limit, KeyRun: keyRun, Owner: "worker-1", Lease: lease})
}

func (f *failureTest[Tx]) wantClaimed(what string, claimed []parley.ClaimedFailure, want ...int64) {
	f.Helper()
	if got := claimedIDs(claimed); !slices.Equal(got, want) {
		f.Fatalf("%s: the rows %v were claimed, want %v", what, got, want)
	}
}

func claimTakesARun[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("a"), keyed("b"), failed(`{}`), keyed("a"), keyed("b"), keyed("a"), keyed("a"), keyed("c"))
	claimed := f.claimRun(3, 3, lasting)
	// A run counts towards the limit as one.
	f.wantClaimed("three rows of each key", claimed, ids[0], ids[3], ids[5], ids[1], ids[4], ids[2])
	for _, c := range claimed {
		row := f.get(c.ID)
		if c.Begun != 1 || row.State != parley.FailureRunning || row.Begun != 1 || row.DueAt.IsZero() {
			f.Errorf("row %d of a run is %s with begun %d", c.ID, row.State, row.Begun)
		}
	}
	f.wantState("behind a run that is full", ids[6], parley.FailureBehind)
	f.wantClaimed("beside the runs", f.claimRun(10, 10, lasting), ids[7])
}

func runKeepsToItsBytes[Tx any](f *failureTest[Tx]) {
	all := []parley.Failure{keyed("a"), keyed("a"), keyed("a"), keyed("a")}
	for i := range all {
		all[i].Message.Body = slices.Repeat([]byte(" "), 1000)
	}
	ids := f.keepIDs(all...)
	claimed := f.claimWith(parley.FailureClaimOptions{Limit: 10, KeyRun: 10, MaxBytes: 2500, Owner: "w", Lease: lasting})
	f.wantClaimed("of 1000 bytes each with at most 2500", claimed, ids[:2]...)
	f.done(claimed[0])
	f.wantDue("behind the rest of the run")
	f.done(claimed[1])
	f.wantDue("after the run", ids[2])
}

func runIsSettledInOrder[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("a"), keyed("a"), keyed("a"), keyed("a"))
	claimed := f.claimRun(1, 3, lasting)
	f.wantClaimed("a run", claimed, ids[:3]...)
	for i, c := range claimed {
		f.wantState("behind the run", ids[3], parley.FailureBehind)
		if i == 1 { // handled within a transaction
			tx := f.begin()
			f.must(f.Failures.DoneIn(f.ctx, tx, c.FailureClaim), "done within a transaction")
			f.commit(tx)
			f.must(f.Failures.Promote(f.ctx, billing, "a"), "promote")
			continue
		}
		f.done(c)
	}
	f.wantDue("after the run", ids[3])
}

// The first row of a run fails. Its worker releases the others, before or after it settles the first.
func restOfARunGoesBack[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("a"), keyed("a"), keyed("a"))
	claimed := f.claimRun(1, 10, lasting)
	f.wantClaimed("a run", claimed, ids...)
	release := parley.FailureOutcome{Action: parley.FailureRelease}
	f.settle(claimed[2].FailureClaim, release)
	f.settle(claimed[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: time.Hour, History: claimed[0].History})
	f.settle(claimed[1].FailureClaim, release)
	for _, id := range ids[1:] {
		if row := f.get(id); row.State != parley.FailureBehind || row.Begun != 0 || !row.DueAt.IsZero() {
			f.Errorf("row %d was released as %s with begun %d, want behind with begun 0", id, row.State, row.Begun)
		}
	}
	f.wantDue("while the first row waits")
	row := f.get(ids[0])
	if wait := row.DueAt.Sub(row.CreatedAt); row.State != parley.FailureWaiting || wait < time.Hour-time.Minute {
		f.Errorf("the first row is %s, due %v after its creation, want 1h", row.State, wait)
	}
	if _, _, err := f.Failures.Drop(f.ctx, parley.FailureQuery{IDs: ids[:1]}); err != nil {
		f.Fatalf("drop: %v", err)
	}
	f.wantClaimed("after the first row was deleted", f.claimRun(1, 10, lasting), ids[1:]...)
}

func runWhoseLeaseIsOver[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("a"), keyed("a"), keyed("a"))
	first := f.claimRun(1, 10, brief)
	f.wantClaimed("a run", first, ids...)
	var again []parley.ClaimedFailure
	eventually(f.T, "the leases of a run are over", func() bool {
		again = f.claimRun(10, 2, brief)
		return len(again) > 0
	})
	// The leases of one run end at nearly the same time.
	f.wantClaimed("a run whose lease is over", again, ids[:len(again)]...)
	for _, c := range first[:len(again)] {
		f.wantLost("settle", f.Failures.Settle(f.ctx, c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease}))
	}
	// The first process may release the third row, but it is not due.
	err := f.Failures.Settle(f.ctx, first[2].FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease})
	if err != nil {
		f.wantLost("settle", err)
	}
	for _, c := range again {
		f.done(c)
	}
	f.wantDue("after the second run", ids[len(again)])
}

func runEndsBeforeASuspect[Tx any](f *failureTest[Tx]) {
	suspect := keyed("a")
	suspect.Begun = parley.SuspectAfter
	ids := f.keepIDs(keyed("a"), suspect, keyed("a"))
	claimed := f.claimRun(10, 10, lasting)
	f.wantClaimed("a run with a suspect in it", claimed, ids[0])
	f.done(claimed[0])
	f.wantClaimed("with the suspect in front", f.claimRun(10, 10, lasting))
	alone := f.claimWith(parley.FailureClaimOptions{Limit: 10, KeyRun: 10, Owner: "w", Lease: lasting, Alone: true})
	f.wantClaimed("the suspect alone", alone, ids[1])
	f.done(alone[0])
	f.wantClaimed("after the suspect", f.claimRun(10, 10, lasting), ids[2])
}

// A process dies after it has settled the failed first row of a run and before it releases the others.
func restIsNotDueBeforeTheFirst[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("a"), keyed("a"), failed(`{}`))
	claimed := f.claimRun(10, 10, brief)
	f.wantClaimed("a run and another row", claimed, ids...)
	f.settle(claimed[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: time.Hour, History: claimed[0].History})
	eventually(f.T, "the leases are over", func() bool {
		again := f.claimRun(10, 10, brief)
		if len(again) > 0 {
			f.wantClaimed("while the first row of a key waits", again, ids[2])
		}
		return len(again) > 0
	})
	// The later rows must not lock the key indefinitely: a sweep may have to repair that.
	if n, err := f.Failures.Replay(f.ctx, parley.FailureQuery{IDs: ids[:1]}, 0); n != 1 || err != nil {
		f.Fatalf("replay: %d, %v", n, err)
	}
	var first []parley.ClaimedFailure
	eventually(f.T, "the first row is due after its replay", func() bool {
		_, err := f.Failures.Sweep(f.ctx, billing, 0, 100)
		f.must(err, "sweep")
		first = f.claimRun(10, 1, brief)
		return len(first) > 0
	})
	f.wantClaimed("after the replay", first, ids[0])
	f.done(first[0])
	f.wantClaimed("after the first one", f.claimRun(10, 10, brief), ids[1])
}
