package parleytest

import (
	"errors"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

func pausePromises() []operationPromise {
	return []operationPromise{
		{"APauseIsReadUntilItEnds", pauseIsRead},
		{"APauseEndsByItself", pauseEndsByItself},
		{"APauseIsExtended", pauseIsExtended},
		{"PausesAndResumesAreLogged", pausesAreLogged},
		{"AResumeOfNothingIsErrNoPause", resumeOfNothing},
		{"ImpossiblePausesAreRefused", impossiblePauses},
		{"OperatorsAtOnceMakeOnePause", operatorsAtOnce},
		{"AResumeReturnsTheMovedDeliveries", resumeReturnsDeliveries},
	}
}

func (o *operationTest) pause(p parley.Pause, d time.Duration) parley.Pause {
	o.Helper()
	out, err := o.Control.SetPause(o.ctx, p, d)
	o.must(err, "pause "+p.String())
	return out
}

func (o *operationTest) wantPauses(what string, want ...parley.Pause) []parley.Pause {
	o.Helper()
	got, err := o.Control.Pauses(o.plain)
	o.must(err, "read pauses")
	if len(got) != len(want) {
		o.Fatalf("%s: there are %+v, want %d pauses", what, got, len(want))
	}
	for i := range got {
		if got[i].String() != want[i].String() {
			o.Fatalf("%s: pause %d is %s, want %s", what, i, &got[i], &want[i])
		}
	}
	return got
}

var everyPause = []parley.Pause{
	{Part: parley.PauseRelay}, {Part: parley.PauseRelay, Exchange: "shop"}, {Part: parley.PauseConsumer, Queue: "shop"},
	{Part: parley.PauseConsumer, RoutingKey: "shop"}, {Part: parley.PauseConsumer, RoutingKey: "order.#"}, {Part: parley.PauseRelay, Exchange: "Shop "},
}

func pauseIsRead(o *operationTest) {
	o.wantPauses("at the beginning")
	for i, p := range everyPause {
		p.Reason = "ticket 7"
		got := o.pause(p, time.Hour)
		if got.ID == 0 || got.String() != p.String() || got.By != "ann" || got.Host != "ops-1" || got.Reason != "ticket 7" || time.Since(got.CreatedAt).Abs() > time.Hour {
			o.Errorf("pause %d: %+v", i, got)
		}
		if off := got.Left - time.Hour; off > time.Second || off < -time.Minute || time.Until(got.Until) > 2*time.Hour {
			o.Errorf("pause %d ends in %s, at %s, want in an hour", i, got.Left, got.Until)
		}
	}
	for i, p := range o.wantPauses("all", everyPause...) {
		if p.Left <= 0 || p.Left > time.Hour || p.Reason != "ticket 7" {
			o.Errorf("pause %d is read as %+v", i, p)
		}
	}
	ended, err := o.Control.EndPause(o.plain, everyPause[0])
	o.must(err, "resume")
	if ended.ID == 0 || ended.By != "ann" {
		o.Errorf("the ended pause is %+v", ended)
	}
	o.wantPauses("after the resume", everyPause[1:]...)
}

func pauseEndsByItself(o *operationTest) {
	o.pause(everyPause[1], 50*time.Millisecond)
	o.pause(everyPause[2], time.Hour)
	deadline := time.Now().Add(30 * time.Second)
	for {
		got, err := o.Control.Pauses(o.plain)
		o.must(err, "read pauses")
		if len(got) == 1 && got[0].Queue == "shop" {
			break
		}
		if time.Now().After(deadline) {
			o.Fatalf("there are still %+v", got)
		}
	}
	if _, err := o.Control.EndPause(o.plain, everyPause[1]); !errors.Is(err, parley.ErrNoPause) {
		o.Errorf("resume after the end: %v, want ErrNoPause", err)
	}
}

func pauseIsExtended(o *operationTest) {
	first := o.pause(everyPause[3], time.Minute)
	p := everyPause[3]
	p.Reason = "longer"
	second := o.pause(p, time.Hour)
	if second.ID != first.ID || !second.CreatedAt.Equal(first.CreatedAt) || !second.Until.After(first.Until) || second.Reason != "longer" {
		o.Errorf("after the extension: %+v, before: %+v", second, first)
	}
	o.wantPauses("extended", everyPause[3])
}

func pausesAreLogged(o *operationTest) {
	p := everyPause[1]
	p.Reason = "ticket 7"
	o.pause(p, time.Hour)
	_, err := o.Control.EndPause(o.ctx, p)
	o.must(err, "resume")
	found := o.entries(2)
	o.wantEntry(found[1], parley.ActionPause, "relay exchange shop for 1h0m0s", 1)
	o.wantEntry(found[0], parley.ActionResume, "relay exchange shop", 1)
}

func resumeOfNothing(o *operationTest) {
	o.pause(everyPause[1], time.Hour)
	for _, p := range everyPause[2:] {
		if _, err := o.Control.EndPause(o.ctx, p); !errors.Is(err, parley.ErrNoPause) {
			o.Errorf("resume %s: %v, want ErrNoPause", &p, err)
		}
	}
	o.entries(1)
}

func impossiblePauses(o *operationTest) {
	for _, p := range []parley.Pause{
		{}, {Part: "broker"}, {Part: parley.PauseConsumer}, {Part: parley.PauseConsumer, Exchange: "a"}, {Part: parley.PauseRelay, Queue: "a"},
		{Part: parley.PauseConsumer, Queue: "a", RoutingKey: "b"}, {Part: parley.PauseRelay, Exchange: "a\x00"},
	} {
		if _, err := o.Control.SetPause(o.ctx, p, time.Hour); err == nil {
			o.Errorf("pause %+v was accepted", p)
		}
	}
	for _, d := range []time.Duration{0, -time.Hour, parley.PauseLimit + time.Second} {
		if _, err := o.Control.SetPause(o.ctx, everyPause[0], d); err == nil {
			o.Errorf("a pause for %s was accepted", d)
		}
	}
	o.wantPauses("after refused ones")
}

func operatorsAtOnce(o *operationTest) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := o.Control.SetPause(o.ctx, everyPause[2], time.Hour); err != nil {
				o.Error(err)
			}
		})
	}
	wg.Wait()
	o.wantPauses("of four operators", everyPause[2])
}

func resumeReturnsDeliveries(o *operationTest) {
	p := o.pause(everyPause[4], time.Hour)
	moved := func(key string) parley.Failure {
		f := keyed(key)
		f.Fingerprint, f.After = p.Group(), time.Hour
		return f
	}
	retried := failed(`{}`)
	retried.After = time.Hour
	ids := o.keep("mail", moved("a"), moved("a"), moved(""), retried)
	ended, n, err := parley.Resume(o.ctx, o.Control, o.Failures, everyPause[4])
	o.must(err, "resume")
	if ended.ID != p.ID || n != 3 {
		o.Errorf("resumed %+v with %d deliveries, want 3", ended, n)
	}
	if got := o.handle(false); len(got) != 2 || got[0] != ids[0] || got[1] != ids[2] {
		o.Errorf("the rows %v are due, want %d and %d: the second one of key a is behind the first", got, ids[0], ids[2])
	}
	if got := o.handle(false); len(got) != 1 || got[0] != ids[1] {
		o.Errorf("then the rows %v are due, want %d", got, ids[1])
	}
	if found := o.entries(2); found[0].Name != parley.ActionResume {
		o.Errorf("the last entry is %+v, want the resume", found[0])
	}
}
