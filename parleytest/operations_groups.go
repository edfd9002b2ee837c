package parleytest

import (
	"context"
	"errors"
	"time"

	"github.com/parley-go/parley"
)

func groupPromises() []operationPromise {
	return []operationPromise{
		{"GroupsCountParkedRows", groupsCountParkedRows},
		{"GroupsAreLimited", groupsAreLimited},
	}
}

// inGroup returns a parked failure with a fingerprint and an error.
func inGroup(fingerprint, text string) parley.Failure {
	f := parked(failed(`{}`))
	f.Fingerprint, f.History.LastError = fingerprint, text
	return f
}

func groupsCountParkedRows(o *operationTest) {
	waiting := failed(`{}`)
	waiting.Fingerprint = "aa"
	mail := o.keep("mail", inGroup("bb", "b one"), inGroup("aa", "a one"), waiting, inGroup("bb", "b two"), inGroup("", ""))
	post := o.keep("post", inGroup("bb", "b three"))
	want := []parley.FailureGroup{
		{Consumer: "mail", Count: 1, FirstID: mail[4], LastID: mail[4], Error: "out of retries"},
		{Consumer: "mail", Fingerprint: "aa", Count: 1, FirstID: mail[1], LastID: mail[1], Error: "a one"},
		{Consumer: "mail", Fingerprint: "bb", Count: 2, FirstID: mail[0], LastID: mail[3], Error: "b two"},
		{Consumer: "post", Fingerprint: "bb", Count: 1, FirstID: post[0], LastID: post[0], Error: "b three"},
	}
	o.wantGroups("", want)
	o.wantGroups("mail", want[:3])
	o.wantGroups("post", want[3:])
	o.wantGroups("absent", nil)
	_, _, err := o.Failures.Drop(o.plain, parley.FailureQuery{Consumer: "mail", Fingerprint: "bb", States: []parley.FailureState{parley.FailureParked}})
	o.must(err, "drop a group")
	o.wantGroups("", []parley.FailureGroup{want[0], want[1], want[3]})
}

func (o *operationTest) wantGroups(consumer string, want []parley.FailureGroup) {
	o.Helper()
	got, err := o.Failures.FailureGroups(o.plain, consumer, 100)
	o.must(err, "group")
	if len(got) != len(want) {
		o.Fatalf("consumer %q has the groups %+v, want %d", consumer, got, len(want))
	}
	for i, g := range got {
		if time.Since(g.FirstParked).Abs() > time.Hour || time.Since(g.LastParked).Abs() > time.Hour {
			o.Errorf("group %+v was not parked now", g)
		}
		g.FirstParked, g.LastParked = time.Time{}, time.Time{}
		w := want[i]
		w.Exchange, w.RoutingKey = "orders", "placed"
		if g != w {
			o.Errorf("consumer %q: group %d is %+v, want %+v", consumer, i, g, w)
		}
	}
}

func groupsAreLimited(o *operationTest) {
	for _, consumer := range []string{"mail", "post"} {
		o.keep(consumer, inGroup("aa", "a"), inGroup("bb", "b"))
	}
	got, err := o.Failures.FailureGroups(o.plain, "", 3)
	o.must(err, "group")
	if len(got) != 3 || got[2].Consumer != "post" || got[2].Fingerprint != "aa" {
		o.Errorf("got %+v, want the first 3 groups", got)
	}
}

func pacedPromises() []operationPromise {
	return []operationPromise{
		{"AReplayGoesOnWhereAKilledOneStopped", replayGoesOn},
		{"AReplayStopsIfItsFirstMessageFailsAgain", replayStopsAtItsCanary},
		{"AReplayWaitsForItsFirstMessage", replayWaitsForItsCanary},
		{"AReplayLeavesTheRowsThatItsCallerKeeps", replayKeepsRows},
	}
}

// replay replays the group "aa" of mail.
func (o *operationTest) replay(ctx context.Context, opts parley.ReplayOptions) (parley.ReplayProgress, error) {
	return parley.ReplayFailures(ctx, o.Failures, o.Log, parley.FailureQuery{Consumer: "mail", Fingerprint: "aa"}, opts)
}

// handle handles the due rows of mail and returns their ids. fail parks them again instead.
func (o *operationTest) handle(fail bool) (ids []int64) {
	o.Helper()
	claimed, err := o.Failures.Claim(o.plain, "mail", parley.FailureClaimOptions{Limit: 100, KeyRun: 1, Owner: "w", Lease: lasting})
	o.must(err, "claim")
	for _, c := range claimed {
		out := parley.FailureOutcome{Action: parley.FailureDone}
		if fail {
			out = parley.FailureOutcome{Action: parley.FailurePark, History: c.History, Fingerprint: "aa"}
		}
		o.must(o.Failures.Settle(o.plain, c.FailureClaim, out), "settle")
		ids = append(ids, c.ID)
	}
	return ids
}

func replayGoesOn(o *operationTest) {
	var list []parley.Failure
	for range 7 {
		list = append(list, inGroup("aa", "a"))
	}
	ids := o.keep("mail", list...)
	other := o.keep("mail", inGroup("bb", "b"))
	killed, kill := context.WithCancel(o.ctx)
	_, err := o.replay(killed, parley.ReplayOptions{Every: 4 * time.Second, Progress: func(p parley.ReplayProgress) {
		if p.Replayed > 0 {
			kill() // after the first step
		}
	}})
	if !errors.Is(err, context.Canceled) {
		o.Fatalf("the killed replay: %v, want a cancelled context", err)
	}
	first := o.entries(1)[0]
	if first.State != parley.ActionRunning || first.Changed != 2 || first.Total != 7 || first.Cursor != ids[1] {
		o.Fatalf("after the kill: %+v, want 2 of 7 rows", first)
	}
	again := inGroup("aa", "a") // fails again meanwhile, or is new: it does not take part
	late := o.keep("mail", again)
	p, err := o.replay(o.ctx, parley.ReplayOptions{})
	o.must(err, "continue")
	if !p.Resumed || p.Entry != first.ID || p.Replayed != 7 || p.Total != 7 {
		o.Errorf("the progress is %+v, want 7 of 7 rows of entry %d, resumed", p, first.ID)
	}
	for _, row := range append(other, late...) {
		got, err := o.Failures.Get(o.plain, row)
		o.must(err, "get")
		if got.State != parley.FailureParked {
			o.Errorf("row %d is %s, want parked", row, got.State)
		}
	}
	for _, row := range ids {
		got, err := o.Failures.Get(o.plain, row)
		o.must(err, "get")
		if got.State != parley.FailureWaiting || got.History.Replays != 1 {
			o.Errorf("row %d is %s and was replayed %d times, want waiting, once", row, got.State, got.History.Replays)
		}
	}
	o.wantEntry(o.entries(1)[0], parley.ActionReplay, "consumer=mail group=aa", 7)
}

func replayStopsAtItsCanary(o *operationTest) {
	ids := o.keep("mail", inGroup("aa", "a"), inGroup("aa", "a"), inGroup("aa", "a"))
	p, err := o.replay(o.ctx, parley.ReplayOptions{Canary: 1, Progress: func(p parley.ReplayProgress) {
		if p.Canary && p.Replayed == 1 {
			if got := o.handle(true); len(got) != 1 || got[0] != ids[0] {
				o.Errorf("the rows %v are due, want only row %d", got, ids[0])
			}
		}
	}})
	if !errors.Is(err, parley.ErrCanaryFailed) || p.Replayed != 1 {
		o.Fatalf("the replay: %+v, %v, want ErrCanaryFailed after 1 row", p, err)
	}
	a := o.entries(1)[0]
	if a.State != parley.ActionStopped || a.Changed != 1 || a.Detail == "" {
		o.Errorf("the entry is %+v, want stopped after 1 row, with the reason", a)
	}
	o.wantGroups("mail", []parley.FailureGroup{{Consumer: "mail", Fingerprint: "aa", Count: 3, FirstID: ids[0], LastID: ids[2], Error: "a"}})
}

func replayWaitsForItsCanary(o *operationTest) {
	ids := o.keep("mail", inGroup("aa", "a"), inGroup("aa", "a"), inGroup("aa", "a"))
	_, err := o.replay(o.ctx, parley.ReplayOptions{Canary: 1, CanaryTimeout: time.Millisecond})
	if !errors.Is(err, parley.ErrCanaryPending) {
		o.Fatalf("without a consumer: %v, want ErrCanaryPending", err)
	}
	if got := o.handle(false); len(got) != 1 || got[0] != ids[0] {
		o.Fatalf("the rows %v are due, want only row %d", got, ids[0])
	}
	p, err := o.replay(o.ctx, parley.ReplayOptions{Canary: 1})
	o.must(err, "continue")
	if !p.Resumed || p.Replayed != 3 {
		o.Errorf("the progress is %+v, want 3 rows, resumed", p)
	}
}

// replayKeepsRows keeps the first, the third and the last row. The canary is the first of the others.
func replayKeepsRows(o *operationTest) {
	ids := o.keep("mail", inGroup("aa", "a"), inGroup("aa", "a"), inGroup("aa", "a"), inGroup("aa", "a"), inGroup("aa", "a"))
	kept := map[int64]bool{ids[0]: true, ids[2]: true, ids[4]: true}
	p, err := o.replay(o.ctx, parley.ReplayOptions{
		Canary: 1, Every: time.Millisecond,
		Keep: func(_ context.Context, row *parley.FailureRow) (bool, error) { return kept[row.ID], nil },
		Progress: func(p parley.ReplayProgress) {
			if p.Canary && p.Replayed == 1 {
				if got := o.handle(false); len(got) != 1 || got[0] != ids[1] {
					o.Errorf("the rows %v are due, want only row %d", got, ids[1])
				}
			}
		},
	})
	o.must(err, "replay")
	if p.Replayed != 2 || p.Total != 5 {
		o.Errorf("the progress is %+v, want 2 of 5 rows", p)
	}
	if entry := o.entries(1)[0]; entry.State != parley.ActionDone || entry.Changed != 2 {
		o.Errorf("the entry is %+v, want done after 2 rows", entry)
	}
	o.wantGroups("mail", []parley.FailureGroup{{Consumer: "mail", Fingerprint: "aa", Count: 3, FirstID: ids[0], LastID: ids[4], Error: "a"}})
}
