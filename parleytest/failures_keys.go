package parleytest

import (
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

func keyPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "FollowersOfAKeyAreBehind", run: followersAreBehind[Tx]},
		{name: "OnlyTheFirstRowOfAKeyIsDue", run: onlyTheFirstIsDue[Tx]},
		{name: "FollowersWaitForARetryOfTheFirst", run: followersWaitForARetry[Tx]},
		{name: "ParkedRowCountsOnlyIfItHolds", run: parkedCountsOnlyIfItHolds[Tx]},
		{name: "HeldKeyGoesOnWhenItsHolderIsReplayed", run: heldKeyGoesOnAfterAReplay[Tx]},
		{name: "HeldKeyGoesOnWhenItsHolderIsDropped", run: heldKeyGoesOnAfterADrop[Tx]},
		{name: "KeysAreComparedByteForByte", run: keysAreComparedByteForByte[Tx]},
		{name: "KeysWithRows", run: keysWithRows[Tx]},
	}
}

func sweepPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "SweepPromotesWhatACrashLeftBehind", run: sweepPromotesOrphans[Tx]},
		{name: "SweepDeletesOldParkedRowsOnly", run: sweepDeletesOldParked[Tx]},
		{name: "SweptHolderMakesWay", run: sweptHolderMakesWay[Tx]},
	}
}

func followersAreBehind[Tx any](f *failureTest[Tx]) {
	kept := f.keep(billing, keyed("user-7"), keyed("user-8"), keyed("user-7"), failed(`{}`))
	kept = append(kept, f.keep(billing, keyed("user-7"), parked(keyed("user-7")))...)
	w, b, p := parley.FailureWaiting, parley.FailureBehind, parley.FailureParked
	for i, want := range []parley.FailureState{w, w, b, w, b, p} {
		if kept[i].State != want {
			f.Errorf("failure %d was kept as %s, want %s", i, kept[i].State, want)
		}
		row := f.get(kept[i].ID)
		if row.State != want || row.DueAt.IsZero() != (want != w) {
			f.Errorf("row %d is %s, due at %v, want %s", row.ID, row.State, row.DueAt, want)
		}
	}
}

func onlyTheFirstIsDue[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("user-7"), keyed("user-7"), keyed("user-8"), keyed("user-7"), keyed("user-8"))
	first := f.wantDue("the first rows of two keys", ids[0], ids[2])
	f.wantDue("while both first rows are claimed")
	f.done(first[0])
	second := f.wantDue("after the first row of a key was done", ids[1])
	f.done(second[0])
	f.done(first[1])
	f.wantDue("after both", ids[3], ids[4])
}

func followersWaitForARetry[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("user-7"), keyed("user-7"))
	c := f.claimOne("the first one", lasting)
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: time.Hour, History: c.History})
	f.wantDue("while the first row waits")
	third := f.keep(billing, keyed("user-7"))[0]
	if third.State != parley.FailureBehind {
		f.Errorf("a message behind a waiting one was kept as %s", third.State)
	}
	if n, err := f.Failures.Replay(f.ctx, parley.FailureQuery{IDs: ids[:1]}, 0); n != 1 || err != nil {
		f.Fatalf("replay: %d, %v", n, err)
	}
	c = f.claimOne("after the replay", lasting)
	if c.ID != ids[0] {
		f.Errorf("row %d is due, want %d", c.ID, ids[0])
	}
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease})
	f.wantDue("after a release", ids[0])
}

func parkedCountsOnlyIfItHolds[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("user-7"), keyed("user-7"), keyed("user-7"), parked(keyed("user-8")), keyed("user-8"), holding(keyed("user-9")), keyed("user-9"))
	first := f.wantDue("at first", ids[0], ids[4])
	f.settle(first[0].FailureClaim, parley.FailureOutcome{Action: parley.FailurePark, History: first[0].History})
	second := f.wantDue("after the first row was parked", ids[1])
	f.settle(second[0].FailureClaim, parley.FailureOutcome{Action: parley.FailurePark, History: second[0].History, Holds: true})
	f.wantDue("after the second row was parked and holds its key")
	f.wantState("behind a row that holds its key", ids[2], parley.FailureBehind)
	if kept := f.keep(billing, keyed("user-7"))[0]; kept.State != parley.FailureBehind {
		f.Errorf("a message behind a row that holds its key was kept as %s", kept.State)
	}
}

func heldKeyGoesOnAfterAReplay[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(holding(keyed("user-7")), keyed("user-7"), keyed("user-7"))
	f.wantDue("behind a row that holds its key")
	if n, err := f.Failures.Replay(f.ctx, parley.FailureQuery{States: []parley.FailureState{parley.FailureParked}}, 0); n != 1 || err != nil {
		f.Fatalf("replay: %d, %v", n, err)
	}
	c := f.wantDue("the replayed holder", ids[0])
	f.done(c[0])
	c = f.wantDue("after the holder was done", ids[1])
	f.done(c[0])
	f.wantDue("after the second one", ids[2])
}

func heldKeyGoesOnAfterADrop[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(holding(keyed("user-7")), keyed("user-7"), keyed("user-7"))
	dropped, running, err := f.Failures.Drop(f.ctx, parley.FailureQuery{IDs: ids[:1]})
	if dropped != 1 || running != 0 || err != nil {
		f.Fatalf("drop: %d, %d running, %v", dropped, running, err)
	}
	f.wantDue("after the holder was dropped", ids[1])
	// Dropping a later row promotes no row, because the first one is being handled.
	if _, _, err := f.Failures.Drop(f.ctx, parley.FailureQuery{IDs: ids[2:]}); err != nil {
		f.Fatalf("drop a follower: %v", err)
	}
	f.wantListed("after both", parley.FailureQuery{}, ids[1])
}

func keysAreComparedByteForByte[Tx any](f *failureTest[Tx]) {
	long := strings.Repeat("x", 255)
	longest := strings.Repeat("k", 1000)
	keys := []string{"a", "A", "a ", "ä", "a\u0308", "'", `\`, "%", long, long + "y", longest, longest[1:] + "K", "\U0001F600"}
	var ids []int64
	for _, key := range keys {
		ids = append(ids, f.keepIDs(keyed(key), keyed(key))[0])
	}
	rows, err := f.Failures.KeysWithRows(f.ctx, billing, append(slices.Clone(keys), "b", "a  "))
	f.must(err, "keys with rows")
	for _, key := range keys {
		if !rows[key] {
			f.Errorf("key %.20q has no rows, want two", key)
		}
	}
	if rows["b"] || rows["a  "] {
		f.Errorf("keys that were never used have rows")
	}
	for i, c := range f.wantDue("the first row of each key", ids...) {
		if c.Key != keys[i] {
			f.Errorf("the claim of row %d has key %.20q, want %.20q", c.ID, c.Key, keys[i])
		}
	}
}

func keysWithRows[Tx any](f *failureTest[Tx]) {
	f.keepIDs(keyed("waiting"), keyed("behind"), keyed("behind"), parked(keyed("parked")), holding(keyed("holding")), keyed("done"))
	claimed := f.claim(10, lasting)
	f.done(claimed[len(claimed)-1])
	want := map[string]bool{"waiting": true, "behind": true, "holding": true}
	got, err := f.Failures.KeysWithRows(f.ctx, billing, []string{"waiting", "behind", "parked", "holding", "done", "unknown", ""})
	f.must(err, "keys with rows")
	for _, key := range []string{"waiting", "behind", "parked", "holding", "done", "unknown", ""} {
		if got[key] != want[key] {
			f.Errorf("KeysWithRows of key %q: %t, want %t", key, got[key], want[key])
		}
	}
	if got, err := f.Failures.KeysWithRows(f.ctx, billing, nil); err != nil || len(got) > 0 {
		f.Errorf("KeysWithRows of no keys: %v, %v", got, err)
	}
}

// The process dies after a handler's commit and before the promotion.
func sweepPromotesOrphans[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(keyed("user-7"), keyed("user-7"), keyed("user-8"), keyed("user-8"))
	claimed := f.wantDue("at first", ids[0], ids[2])
	tx := f.begin()
	f.must(f.Failures.DoneIn(f.ctx, tx, claimed[0].FailureClaim), "done within a transaction")
	f.commit(tx)
	n, err := f.Failures.Sweep(f.ctx, billing, 0, 100)
	if n != 1 || err != nil {
		f.Fatalf("sweep: %d rows changed, %v, want 1", n, err)
	}
	f.wantDue("after the sweep", ids[1])
	f.wantState("the key whose first row is being handled", ids[3], parley.FailureBehind)
	if n, err := f.Failures.Sweep(f.ctx, billing, 0, 100); n != 0 || err != nil {
		f.Errorf("sweep again: %d rows changed, %v, want 0", n, err)
	}
}

func sweepDeletesOldParked[Tx any](f *failureTest[Tx]) {
	f.keepIDs(parked(failed(`{}`)), parked(failed(`{}`)), parked(failed(`{}`)))
	left := f.keepIDs(failed(`{}`), keyed("user-7"), keyed("user-7"))
	other := f.keep("shipping", parked(failed(`{}`)))[0].ID
	for _, retention := range []time.Duration{time.Hour, 0} {
		if n, err := f.Failures.Sweep(f.ctx, billing, retention, 100); n != 0 || err != nil {
			f.Fatalf("sweep with the retention %v: %d rows changed, %v, want 0", retention, n, err)
		}
	}
	total := 0
	eventually(f.T, "all parked rows are older than a millisecond and deleted", func() bool {
		n, err := f.Failures.Sweep(f.ctx, billing, time.Millisecond, 2)
		f.must(err, "sweep")
		if n > 2 {
			f.Fatalf("one sweep deleted %d rows, the limit was 2", n)
		}
		total += n
		return total == 3
	})
	f.wantListed("after the sweep", parley.FailureQuery{}, append(left, other)...)
}

func sweptHolderMakesWay[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(holding(keyed("user-7")), keyed("user-7"))
	eventually(f.T, "the holder is deleted", func() bool {
		_, err := f.Failures.Sweep(f.ctx, billing, time.Millisecond, 100)
		f.must(err, "sweep")
		return len(f.list(parley.FailureQuery{})) == 1
	})
	f.wantDue("after the holder was deleted", ids[1])
}
