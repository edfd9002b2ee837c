package parleytest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// OperationsUnderTest is an empty store with what operators use: failed deliveries and their groups, the action log, and pauses.
type OperationsUnderTest struct {
	// Failures is the table of failed deliveries. Required.
	Failures interface {
		parley.FailureStore
		parley.FailureOperator
		parley.FailureGrouper
	}
	// Log and Control are the action log and the pauses of the same database. Required.
	Log     parley.ActionLog
	Control parley.ControlStore
}

// TestOperations runs each promise of groups of failures, of the action log and of pauses as a subtest. open returns an empty store,
// and cleans up through t; it is called once for each subtest.
func TestOperations(t *testing.T, open func(t *testing.T) OperationsUnderTest) {
	promises := slices.Concat(actionPromises(), groupPromises(), pausePromises(), pacedPromises())
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			under := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), failurePatience)
			t.Cleanup(cancel)
			o := &operationTest{T: t, OperationsUnderTest: under, plain: ctx}
			o.ctx = parley.WithActor(ctx, parley.Actor{Name: "ann", Host: "ops-1", Reason: "ticket 7"})
			p.run(o)
		})
	}
}

type operationPromise struct {
	name string
	run  func(o *operationTest)
}

// An operationTest is one subtest.
type operationTest struct {
	*testing.T
	OperationsUnderTest
	ctx   context.Context // with an actor
	plain context.Context // without
}

func (o *operationTest) must(err error, what string) {
	o.Helper()
	if err != nil {
		o.Fatalf("%s: %v", what, err)
	}
}

// keep keeps failures of a consumer and returns their ids.
func (o *operationTest) keep(consumer string, failures ...parley.Failure) []int64 {
	o.Helper()
	kept, err := o.Failures.Keep(o.plain, consumer, failures)
	o.must(err, "keep")
	ids := make([]int64, len(kept))
	for i := range kept {
		ids[i] = kept[i].ID
	}
	return ids
}

// entries returns the action log, the newest entry first.
func (o *operationTest) entries(want int) []parley.Action {
	o.Helper()
	found, err := o.Log.Actions(o.plain, parley.ActionQuery{})
	o.must(err, "read the action log")
	if len(found) != want {
		o.Fatalf("the log has %d entries, want %d: %+v", len(found), want, found)
	}
	return found
}

func (o *operationTest) wantEntry(a parley.Action, name, filter string, changed int64) {
	o.Helper()
	if a.Name != name || !strings.Contains(a.Filter, filter) || a.Changed != changed || a.By != "ann" || a.Host != "ops-1" || a.Reason != "ticket 7" || a.ID == 0 ||
		time.Since(a.At).Abs() > time.Hour || a.State != parley.ActionDone {
		o.Errorf("the entry is %+v, want %s of %q by ann on ops-1 because of ticket 7 with %d rows, done", a, name, filter, changed)
	}
}

func actionPromises() []operationPromise {
	return []operationPromise{
		{"EachActionIsLogged", eachActionIsLogged},
		{"AnEditIsLoggedWithBothBodies", anEditIsLogged},
		{"WithoutAnActorNothingIsLogged", withoutAnActor},
		{"AnActionWithoutEffectIsNotLogged", withoutEffect},
		{"LargeActionsHaveOneEntry", largeActionsHaveOneEntry},
		{"AnEntryCountsSeveralCalls", anEntryCountsSeveralCalls},
		{"TheLogGoesPageByPage", logGoesPageByPage},
		{"OldEntriesAreSwept", oldEntriesAreSwept},
		{"HostileTextsAreLogged", hostileTextsAreLogged},
	}
}

func eachActionIsLogged(o *operationTest) {
	ids := o.keep("mail", parked(failed(`{}`)), parked(failed(`{}`)), parked(failed(`{}`)))
	_, err := o.Failures.Replay(o.ctx, parley.FailureQuery{IDs: ids[:1]}, 0)
	o.must(err, "replay")
	_, _, err = o.Failures.Drop(o.ctx, parley.FailureQuery{Consumer: "mail", States: []parley.FailureState{parley.FailureParked}})
	o.must(err, "drop")
	_, err = o.Failures.Move(o.ctx, "mail", "post")
	o.must(err, "move")
	found := o.entries(3)
	o.wantEntry(found[2], parley.ActionReplay, "ids=", 1)
	o.wantEntry(found[1], parley.ActionDrop, "consumer=mail state=parked", 2)
	o.wantEntry(found[0], parley.ActionMove, "from=mail to=post", 1)
	if found[2].Cursor != ids[0] {
		o.Errorf("the largest changed id is %d, want %d", found[2].Cursor, ids[0])
	}
}

func anEditIsLogged(o *operationTest) {
	ids := o.keep("mail", parked(failed(`{"to": "x"}`)))
	o.must(o.Failures.Edit(o.ctx, ids[0], []byte(`{"to": "ann"}`)), "edit")
	a := o.entries(1)[0]
	o.wantEntry(a, parley.ActionEdit, "ids=", 1)
	if string(a.Before) != `{"to": "x"}` || string(a.After) != `{"to": "ann"}` {
		o.Errorf("the bodies are %q and %q", a.Before, a.After)
	}
}

func withoutAnActor(o *operationTest) {
	ids := o.keep("mail", parked(failed(`{}`)))
	o.must(o.Failures.Edit(o.plain, ids[0], []byte(`1`)), "edit")
	_, _, err := o.Failures.Drop(o.plain, parley.FailureQuery{})
	o.must(err, "drop")
	o.entries(0)
}

func withoutEffect(o *operationTest) {
	_, _, err := o.Failures.Drop(o.ctx, parley.FailureQuery{Consumer: "absent"})
	o.must(err, "drop")
	if err := o.Failures.Edit(o.ctx, 1<<40, []byte(`1`)); !errors.Is(err, parley.ErrNoFailure) {
		o.Errorf("edit of a missing row: %v, want ErrNoFailure", err)
	}
	o.entries(0)
}

func largeActionsHaveOneEntry(o *operationTest) {
	const n = 1100 // drivers commit every 500 or 1,000 rows
	list := make([]parley.Failure, n)
	for i := range list {
		list[i] = parked(failed(`{}`))
	}
	o.keep("mail", list...)
	dropped, _, err := o.Failures.Drop(o.ctx, parley.FailureQuery{Consumer: "mail"})
	o.must(err, "drop")
	if dropped != n {
		o.Fatalf("dropped %d rows, want %d", dropped, n)
	}
	o.wantEntry(o.entries(1)[0], parley.ActionDrop, "consumer=mail", n)
}

func anEntryCountsSeveralCalls(o *operationTest) {
	ids := o.keep("mail", parked(failed(`{}`)), parked(failed(`{}`)))
	entry := parley.Action{Name: parley.ActionReplay, Filter: "group", By: "ann", Host: "ops-1", Reason: "ticket 7", State: parley.ActionRunning, Total: 2}
	id, err := o.Log.LogAction(o.plain, entry)
	o.must(err, "log")
	for _, row := range ids {
		ctx := parley.WithActor(o.plain, parley.Actor{Name: "bob", Entry: id})
		_, err := o.Failures.Replay(ctx, parley.FailureQuery{IDs: []int64{row}}, 0)
		o.must(err, "replay")
	}
	running, err := o.Log.Actions(o.plain, parley.ActionQuery{Running: true})
	o.must(err, "list running actions")
	if len(running) != 1 || running[0].Changed != 2 || running[0].Cursor != ids[1] || running[0].Total != 2 {
		o.Fatalf("running actions: %+v, want one with 2 rows up to %d", running, ids[1])
	}
	running[0].State, running[0].Detail, running[0].UpTo = parley.ActionDone, "end", 9
	o.must(o.Log.UpdateAction(o.plain, running[0]), "update")
	a := o.entries(1)[0]
	o.wantEntry(a, parley.ActionReplay, "group", 2)
	if a.Detail != "end" || a.UpTo != 9 || a.Cursor != ids[1] {
		o.Errorf("after the update: %+v", a)
	}
}

func logGoesPageByPage(o *operationTest) {
	var want []int64
	for range 5 {
		id, err := o.Log.LogAction(o.plain, parley.Action{Name: "test"})
		o.must(err, "log")
		want = append(want, id)
	}
	slices.Reverse(want)
	var got []int64
	for before := int64(0); ; {
		page, err := o.Log.Actions(o.plain, parley.ActionQuery{Before: before, Limit: 2})
		o.must(err, "read")
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			got = append(got, a.ID)
		}
		before = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		o.Errorf("all pages have the entries %v, want %v", got, want)
	}
	one, err := o.Log.Actions(o.plain, parley.ActionQuery{ID: want[3]})
	o.must(err, "read one")
	if len(one) != 1 || one[0].ID != want[3] {
		o.Errorf("by id: %+v, want entry %d", one, want[3])
	}
}

func oldEntriesAreSwept(o *operationTest) {
	for _, state := range []string{parley.ActionDone, parley.ActionRunning, parley.ActionStopped} {
		_, err := o.Log.LogAction(o.plain, parley.Action{Name: "test", State: state})
		o.must(err, "log")
	}
	n, err := o.Log.SweepActions(o.plain, time.Hour, 10)
	o.must(err, "sweep")
	if n != 0 {
		o.Errorf("swept %d new entries", n)
	}
	deadline := time.Now().Add(10 * time.Second)
	for swept := 0; swept < 2; { // the clock of the database may be behind
		n, err := o.Log.SweepActions(o.plain, time.Microsecond, 10)
		o.must(err, "sweep")
		if swept += n; time.Now().After(deadline) {
			o.Fatalf("swept %d old entries, want 2", swept)
		}
	}
	if a := o.entries(1)[0]; a.State != parley.ActionRunning {
		o.Errorf("the running action was swept, %+v stays", a)
	}
}

func hostileTextsAreLogged(o *operationTest) {
	hostile := "\x00\xff' OR 1=1 -- " + strings.Repeat("é", 3000)
	ctx := parley.WithActor(o.plain, parley.Actor{Name: hostile, Host: hostile, Reason: hostile})
	o.keep("mail", parked(failed(`{}`)))
	_, _, err := o.Failures.Drop(ctx, parley.FailureQuery{Exchange: hostile})
	o.must(err, "drop nothing")
	_, _, err = o.Failures.Drop(ctx, parley.FailureQuery{Consumer: "mail"})
	o.must(err, "drop")
	if a := o.entries(1)[0]; !strings.Contains(a.Reason, "OR 1=1 --") {
		o.Errorf("the reason is %q", a.Reason)
	}
}
