package parleytest

import (
	"errors"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

func replayPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "ReplayStartsThePlanAgain", run: replayStartsThePlanAgain[Tx]},
		{name: "ReplayStaggersDueTimes", run: replayStaggers[Tx]},
		{name: "ReplayLeavesRunningRowsAlone", run: replayLeavesRunningRows[Tx]},
		{name: "ReplayKeepsTheOrderOfAKey", run: replayKeepsTheOrder[Tx]},
		{name: "ReplayedRowGoesBeforeALaterOneOfItsKey", run: replayedRowGoesFirst[Tx]},
		{name: "ReplayedRowWaitsForARunningOneOfItsKey", run: replayedRowWaitsForARunningOne[Tx]},
	}
}

func operatePromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "EditReplacesTheBody", run: editReplacesTheBody[Tx]},
		{name: "DropCountsRunningRows", run: dropCountsRunningRows[Tx]},
		{name: "MoveGivesRowsToAnotherConsumer", run: moveGivesRows[Tx]},
		{name: "MovedRowsOfAKeyStayInOrder", run: movedRowsStayInOrder[Tx]},
	}
}

// replay replays the matching rows and checks their number.
func (f *failureTest[Tx]) replay(q parley.FailureQuery, every time.Duration, want int) {
	f.Helper()
	n, err := f.Failures.Replay(f.ctx, q, every)
	f.must(err, "replay")
	if n != want {
		f.Fatalf("%d rows were replayed, want %d", n, want)
	}
}

func replayStartsThePlanAgain[Tx any](f *failureTest[Tx]) {
	o := parked(failed(`{}`))
	o.History.Retries, o.History.Replays, o.History.Attempts, o.Begun = 3, 1, 4, 1
	later := failed(`{}`)
	later.After, later.History.Retries = time.Hour, 2
	ids := f.keepIDs(o, later, parked(failed(`{}`)))
	f.replay(parley.FailureQuery{IDs: ids[:2]}, 0, 2)
	for i, id := range ids[:2] {
		row := f.get(id)
		if row.State != parley.FailureWaiting || row.History.Retries != 0 || row.History.Replays != 1+[]int{1, 0}[i] || row.Begun != 0 || !row.ParkedAt.IsZero() || row.DueAt.IsZero() {
			f.Errorf("the replayed row is %+v", row)
		}
		if row.History.FirstError != o.History.FirstError {
			f.Errorf("the replayed row has the first error %q, want %q", row.History.FirstError, o.History.FirstError)
		}
	}
	f.wantState("not replayed", ids[2], parley.FailureParked)
	for _, c := range f.wantDue("replayed", ids[:2]...) {
		if c.Begun != 1 || c.History.Retries != 0 || c.History.Replays == 0 {
			f.Errorf("a replayed row was claimed with begun %d and the history %+v", c.Begun, c.History)
		}
	}
}

func replayStaggers[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(parked(failed(`{}`)), parked(failed(`{}`)), parked(failed(`{}`)))
	f.replay(parley.FailureQuery{Consumer: billing}, 10*time.Minute, 3)
	first := f.get(ids[0]).DueAt
	for i, id := range ids {
		wait, want := f.get(id).DueAt.Sub(first), time.Duration(i)*10*time.Minute
		if (wait - want).Abs() > time.Minute {
			f.Errorf("row %d is due %v after the first one, want %v", id, wait, want)
		}
	}
	f.wantDue("at once", ids[0])
}

func replayLeavesRunningRows[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failed(`{}`), parked(failed(`{}`)))
	c := f.claimOne("one row", lasting)
	f.replay(parley.FailureQuery{}, 0, 1)
	row := f.get(ids[0])
	if row.State != parley.FailureRunning || row.Begun != 1 || row.History.Replays != 0 {
		f.Errorf("the running row is %+v after a replay of all", row)
	}
	f.done(c)
}

func replayKeepsTheOrder[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(parked(keyed("a")), parked(keyed("a")), parked(keyed("b")), parked(keyed("a")))
	f.replay(parley.FailureQuery{}, 0, 4)
	first := f.wantDue("the first row of each key", ids[0], ids[2])
	f.done(first[0])
	second := f.wantDue("after the first one", ids[1])
	f.done(second[0])
	f.wantDue("after the second one", ids[3])
}

// The row was parked without holding its key, so a later one is due or waits for a retry.
func replayedRowGoesFirst[Tx any](f *failureTest[Tx]) {
	later := keyed("a")
	later.After = time.Hour
	ids := f.keepIDs(parked(keyed("a")), later, keyed("a"))
	f.replay(parley.FailureQuery{IDs: ids[:1]}, 0, 1)
	f.wantState("the later row of the key", ids[1], parley.FailureBehind)
	f.done(f.wantDue("the replayed row", ids[0])[0])
	f.done(f.wantDue("after it was done", ids[1])[0])
	f.wantDue("after the second one", ids[2])
}

func replayedRowWaitsForARunningOne[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(parked(keyed("a")), keyed("a"))
	c := f.claimOne("the later row", lasting)
	f.replay(parley.FailureQuery{IDs: ids[:1]}, 0, 1)
	f.wantDue("while a later row of the key is handled")
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, History: c.History})
	f.done(f.wantDue("after the later row was released", ids[0])[0])
	f.wantDue("after the replayed row was done", ids[1])
}

func editReplacesTheBody[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failed(`{"n": 1}`), parked(failed(`{"n": 2}`)))
	before := f.get(ids[1])
	edited := []byte("{\"edited\": \"\u00fc\x00\xff\"}")
	f.must(f.Failures.Edit(f.ctx, ids[1], edited), "edit a parked row")
	row := f.get(ids[1])
	if string(row.Message.Body) != string(edited) || row.Size != len(edited) || row.State != parley.FailureParked {
		f.Errorf("after the edit the row is %+v, want the body %q", row, edited)
	}
	row.Message.Body = before.Message.Body
	f.sameMessage(&row.Message, &before.Message)
	f.must(f.Failures.Edit(f.ctx, ids[0], []byte{}), "edit a waiting row")
	c := f.claimOne("after the edit", lasting)
	if len(c.Message.Body) != 0 {
		f.Errorf("after the edit the body %q was claimed, want an empty one", c.Message.Body)
	}
	if err := f.Failures.Edit(f.ctx, ids[0], edited); !errors.Is(err, parley.ErrRunning) {
		f.Errorf("edit a running row: %v, want ErrRunning", err)
	}
}

func dropCountsRunningRows[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failed(`{}`), parked(failed(`{}`)), keyed("a"), keyed("a"), keyed("a"))
	other := f.keep("shipping", failed(`{}`))[0].ID
	claimed := f.wantDue("at first", ids[0], ids[2])
	drop := func(q parley.FailureQuery, wantDropped, wantRunning int) {
		f.Helper()
		dropped, running, err := f.Failures.Drop(f.ctx, q)
		f.must(err, "drop")
		if dropped != wantDropped || running != wantRunning {
			f.Fatalf("%d rows were dropped and %d are running, want %d and %d", dropped, running, wantDropped, wantRunning)
		}
	}
	drop(parley.FailureQuery{IDs: []int64{ids[3], ids[2], ids[4] + 1000}}, 1, 1)
	f.done(claimed[1])
	f.done(f.wantDue("after the first row of the key", ids[4])[0])
	drop(parley.FailureQuery{Consumer: billing}, 1, 1)
	f.wantListed("running rows are not dropped", parley.FailureQuery{}, ids[0], other)
	f.done(claimed[0])
	drop(parley.FailureQuery{Consumer: billing}, 0, 0)
}

func moveGivesRows[Tx any](f *failureTest[Tx]) {
	o := identified("id:7")
	o.After = time.Hour
	ids := f.keepIDs(failed(`{}`), o, parked(failed(`{}`)))
	c := f.claimOne("one row", lasting)
	before := f.get(ids[2])
	n, err := f.Failures.Move(f.ctx, billing, "invoicing")
	if n != 2 || err != nil {
		f.Fatalf("move: %d rows, %v, want 2", n, err)
	}
	f.wantListed("of the new consumer", parley.FailureQuery{Consumer: "invoicing"}, ids[1:]...)
	f.wantListed("of the old consumer", parley.FailureQuery{Consumer: billing}, ids[0])
	row := f.get(ids[2])
	if row.State != parley.FailureParked || !row.ParkedAt.Equal(before.ParkedAt) {
		f.Errorf("after the move the parked row is %+v", row)
	}
	if row := f.get(ids[1]); row.State != parley.FailureWaiting || row.DueAt.Sub(row.CreatedAt) < time.Hour-time.Minute || row.Identity != "id:7" {
		f.Errorf("after the move the waiting row is %+v", row)
	}
	f.done(c)
	if n, err := f.Failures.Move(f.ctx, billing, "invoicing"); n != 0 || err != nil {
		f.Errorf("moving no rows: %d rows, %v", n, err)
	}
}

func movedRowsStayInOrder[Tx any](f *failureTest[Tx]) {
	old := []int64{f.keep("old", keyed("a"))[0].ID}
	mine := f.keepIDs(keyed("a"), keyed("b"))
	old = append(old, f.keep("old", keyed("a"))[0].ID, f.keep("old", keyed("c"))[0].ID, f.keep("old", keyed("c"))[0].ID)
	n, err := f.Failures.Move(f.ctx, "old", billing)
	if n != 4 || err != nil {
		f.Fatalf("move: %d rows, %v, want 4", n, err)
	}
	first := f.claim(10, lasting)
	got := claimedIDs(first)
	slices.Sort(got)
	if want := []int64{old[0], mine[1], old[2]}; !slices.Equal(got, want) {
		f.Fatalf("of three keys the rows %v are due, want %v", got, want)
	}
	for _, c := range first {
		f.done(c)
	}
	// Two rows of key a remain, and one of key c.
	second := f.claim(10, lasting)
	got = claimedIDs(second)
	slices.Sort(got)
	if want := []int64{mine[0], old[3]}; !slices.Equal(got, want) {
		f.Fatalf("after the first rows the rows %v are due, want %v", got, want)
	}
	for _, c := range second {
		f.done(c)
	}
	f.wantDue("the last one", old[1])
}
