package parleytest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

func claimPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "ClaimReturnsTheWholeRow", run: claimReturnsTheWholeRow[Tx]},
		{name: "ClaimCountsBegunBeforeTheHandler", run: claimCountsBegun[Tx]},
		{name: "ClaimTakesOldestFirst", run: claimTakesOldestFirst[Tx]},
		{name: "ClaimSkipsHeldRows", run: claimSkipsHeldRows[Tx]},
		{name: "ConcurrentClaimersShareNoRow", run: concurrentClaimersShareNoRow[Tx]},
		{name: "ClaimKeepsToItsBytes", run: claimOfFailuresKeepsToItsBytes[Tx]},
		{name: "SuspectsAreClaimedAlone", run: suspectsAreClaimedAlone[Tx]},
		{name: "AFailureCanBeKeptAsASuspect", run: failureCanBeKeptAsASuspect[Tx]},
		{name: "ARowClaimedByAClockThatWasAheadIsFree", run: rowOfAClockAheadIsFree[Tx]},
	}
}

func claimReturnsTheWholeRow[Tx any](f *failureTest[Tx]) {
	o := keyed("user-7")
	o.History.Retries, o.History.Replays, o.History.Attempts = 1, 2, 5
	id := f.keepIDs(o)[0]
	c := f.claimOne("one row", lasting)
	if c.ID != id || c.Consumer != billing || c.Key != "user-7" || c.Begun != 1 {
		f.Errorf("the claim is %+v, want row %d", c, id)
	}
	f.sameHistory(c.History, o.History)
	f.sameMessage(&c.Message, &o.Message)
	row := f.get(id)
	if row.State != parley.FailureRunning || row.ClaimedBy != "worker-1" || row.Begun != 1 {
		f.Errorf("the claimed row is %+v, want it running with the owner worker-1", row)
	}
	if lease := row.DueAt.Sub(row.CreatedAt); lease < lasting-time.Minute || lease > lasting+time.Minute {
		f.Errorf("the lease ends %v after the creation, want about %v", lease, lasting)
	}
}

func claimCountsBegun[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(failed(`{}`))[0]
	first := f.claimOne("the first claim", brief)
	if row := f.get(id); first.Begun != 1 || row.Begun != 1 {
		f.Errorf("the first claim has begun %d, its row %d, want 1, so that a crash now is counted", first.Begun, row.Begun)
	}
	second := f.claimAgain("the lease of the first claim is over", brief)
	if second.Begun != 2 || second.Number <= first.Number {
		f.Errorf("the second claim has begun %d and number %d, want 2 and a number above %d", second.Begun, second.Number, first.Number)
	}
}

func claimTakesOldestFirst[Tx any](f *failureTest[Tx]) {
	const ms = time.Millisecond
	delays := []time.Duration{1600 * ms, 800 * ms, 1200 * ms, time.Hour, 400 * ms} // a database may take its time between two rows
	all := failures(len(delays))
	for i, d := range delays {
		all[i].After = d
	}
	ids := f.keepIDs(all...)
	eventually(f.T, "four rows are due", func() bool {
		wait, ok, err := f.Failures.NextDue(f.ctx, billing)
		return err == nil && ok && wait < -1300*ms
	})
	first := claimedIDs(f.claim(2, lasting))
	if want := []int64{ids[4], ids[1]}; !slices.Equal(first, want) {
		f.Errorf("the two oldest rows are %v, want %v", first, want)
	}
	f.wantDue("after the two oldest", ids[2], ids[0])
	f.wantDue("the other rows are not due")
}

func claimSkipsHeldRows[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(3)...)
	if got := claimedIDs(f.claim(1, lasting)); !slices.Equal(got, ids[:1]) {
		f.Fatalf("claimed %v, want %v", got, ids[:1])
	}
	f.wantDue("while the first row is held", ids[1:]...)
	f.wantDue("while all rows are held")
}

func concurrentClaimersShareNoRow[Tx any](f *failureTest[Tx]) {
	const rows, workers = 1000, 8
	for batch := range slices.Chunk(failures(rows), 250) {
		f.keep(billing, batch...)
	}
	var mu sync.Mutex
	times := map[int64]int{}
	ctx, cancel := context.WithTimeout(f.ctx, failurePatience/2)
	defer cancel()
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				o := parley.FailureClaimOptions{Limit: 3 + n, KeyRun: 1, Owner: "w", Lease: lasting}
				claimed, err := f.Failures.Claim(ctx, billing, o)
				if err != nil && ctx.Err() == nil {
					f.Errorf("claim beside others: %v", err)
					cancel()
				}
				mu.Lock()
				for _, id := range claimedIDs(claimed) {
					times[id]++
				}
				all := len(times) == rows
				mu.Unlock()
				if all {
					return
				}
			}
		})
	}
	wg.Wait()
	if len(times) != rows {
		f.Errorf("%d workers claimed %d of %d rows", workers, len(times), rows)
	}
	for id, n := range times {
		if n != 1 {
			f.Errorf("row %d was claimed %d times at once", id, n)
		}
	}
}

func claimOfFailuresKeepsToItsBytes[Tx any](f *failureTest[Tx]) {
	all := failures(5)
	for i := range all {
		all[i].Message.Body = slices.Repeat([]byte(" "), 1000)
	}
	all[0].Message.Body = slices.Repeat([]byte(" "), 5000)
	ids := f.keepIDs(all...)
	claim := func() []int64 {
		return claimedIDs(f.claimWith(parley.FailureClaimOptions{Limit: 10, KeyRun: 10, MaxBytes: 2500, Owner: "w", Lease: lasting}))
	}
	for _, want := range [][]int64{ids[:1], ids[1:3], ids[3:5], {}} {
		if got := claim(); !slices.Equal(got, want) {
			f.Fatalf("with at most 2500 bytes the rows %v were claimed, want %v (5000, then 1000 bytes each)", got, want)
		}
	}
}

func suspectsAreClaimedAlone[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(2)...)
	for range parley.SuspectAfter { // each time the process is killed
		eventually(f.T, "two rows are due", func() bool {
			claimed := f.claim(2, brief)
			if n := len(claimed); n == 1 { // their leases do not end in the same microsecond
				f.settle(claimed[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease})
			}
			return len(claimed) == 2
		})
	}
	ids = append(ids, f.keepIDs(failed(`{}`))...)
	alone := parley.FailureClaimOptions{Limit: 10, KeyRun: 10, Owner: "w", Lease: brief, Alone: true}
	var claimed []parley.ClaimedFailure
	eventually(f.T, "a suspect is due", func() bool {
		claimed = f.claimWith(alone)
		return len(claimed) > 0
	})
	if len(claimed) != 1 || claimed[0].ID == ids[2] || claimed[0].Begun != parley.SuspectAfter+1 {
		f.Fatalf("with Alone the rows %v were claimed, want only one of the rows %v with begun %d", claimed, ids[:2], parley.SuspectAfter+1)
	}
	if got := claimedIDs(f.claim(10, brief)); !slices.Equal(got, ids[2:]) {
		f.Fatalf("without Alone the rows %v were claimed, want the one that was never claimed before (%d)", got, ids[2])
	}
	f.settle(claimed[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, History: claimed[0].History})
	again := f.claim(10, brief)
	if !slices.ContainsFunc(again, func(c parley.ClaimedFailure) bool { return c.ID == claimed[0].ID && c.Begun == 1 }) {
		f.Errorf("after an outcome %+v were claimed, want row %d with begun 1 among them", again, claimed[0].ID)
	}
}

func failureCanBeKeptAsASuspect[Tx any](f *failureTest[Tx]) {
	o := failed(`{}`)
	o.Begun = 5
	id := f.keepIDs(o)[0]
	f.wantDue("a suspect among others")
	claimed := f.claimWith(parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Owner: "w", Lease: lasting, Alone: true})
	if len(claimed) != 1 || claimed[0].ID != id || claimed[0].Begun != 6 {
		f.Errorf("with Alone %+v were claimed, want row %d with begun 6", claimed, id)
	}
}

// This lease is one that a fast clock would write: the lease of the next claim is far shorter.
func rowOfAClockAheadIsFree[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(keyed("user-7"), keyed("user-7"))[0]
	first := f.claimOne("with a fast clock", time.Hour)
	second := f.claimOne("with a correct clock", time.Minute)
	if second.ID != id || second.Number <= first.Number {
		f.Errorf("claim %+v was followed by %+v, want row %d with a higher number", first.FailureClaim, second.FailureClaim, id)
	}
	f.wantLost("done with the claim of the fast clock", f.Failures.Settle(f.ctx, first.FailureClaim, parley.FailureOutcome{}))
	if again := f.claim(10, time.Minute); len(again) != 0 {
		f.Errorf("a row with a valid lease was claimed again: %+v", again)
	}
}
