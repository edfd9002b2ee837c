package parley_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/parley-go/parley"
)

func TestAnActorInTheContextMakesAnEntryOfTheLog(t *testing.T) {
	if _, ok := parley.NewAction(t.Context(), parley.ActionDrop, "all"); ok {
		t.Error("an entry without an actor")
	}
	ctx := parley.WithActor(t.Context(), parley.Actor{Name: "ann", Host: "ops-1", Reason: "ticket 7", Entry: 12})
	if actor, ok := parley.ActorOf(ctx); !ok || actor.Name != "ann" {
		t.Errorf("the actor is %+v, %v", actor, ok)
	}
	a, ok := parley.NewAction(ctx, parley.ActionDrop, parley.IDsText([]int64{1, 2}))
	if !ok || a.ID != 12 || a.By != "ann" || a.Host != "ops-1" || a.Reason != "ticket 7" || a.Name != parley.ActionDrop || a.Filter != "ids=1,2" || a.State != parley.ActionDone {
		t.Errorf("the entry is %+v, %v", a, ok)
	}
}

func TestEntriesOfTheLogHaveTextsThatEveryDatabaseAccepts(t *testing.T) {
	a := parley.Action{By: "a\x00b\xff", Filter: strings.Repeat("é", 5000), Before: make([]byte, parley.ActionBodyLimit+1)}.Clean()
	if strings.Contains(a.By, "\x00") || !utf8.ValidString(a.By) || len(a.Filter) > 2000 || len(a.Before) != parley.ActionBodyLimit || a.After != nil || a.State != parley.ActionDone {
		t.Errorf("by %q, a filter of %d bytes, a body of %d, after %v, state %q", a.By, len(a.Filter), len(a.Before), a.After, a.State)
	}
}

func TestAQueryIsReadableInTheLog(t *testing.T) {
	many := make([]int64, 30)
	for want, q := range map[string]parley.FailureQuery{
		"all": {},
		`consumer=mail group=ab exchange="a b" routing_key=k message_id=m state=parked up_to=7`: {
			Consumer: "mail", Fingerprint: "ab", Exchange: "a b", RoutingKey: "k", MessageID: "m", States: []parley.FailureState{parley.FailureParked}, UpTo: 7,
		},
		"ids=1,2": {IDs: []int64{1, 2}},
		"ids=" + strings.TrimSuffix(strings.Repeat("0,", 20), ",") + ",… (30 ids)": {IDs: many},
	} {
		if got := q.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAPauseNamesOneThing(t *testing.T) {
	for want, p := range map[string]parley.Pause{
		"relay": {Part: parley.PauseRelay}, "relay exchange shop": {Part: parley.PauseRelay, Exchange: "shop"},
		"consumer queue mail": {Part: parley.PauseConsumer, Queue: "mail"}, "consumer routing key order.#": {Part: parley.PauseConsumer, RoutingKey: "order.#"},
	} {
		if err := parley.CheckPause(&p, time.Hour); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		again := parley.Pause{Part: p.Part}
		again.SetScope(p.Scope())
		if p.String() != want || again.String() != want {
			t.Errorf("got %q, and %q from its scope, want %q", &p, &again, want)
		}
	}
	if err := parley.CheckPause(&parley.Pause{Part: parley.PauseConsumer}, time.Hour); err == nil || !strings.Contains(err.Error(), "queue or by routing key") {
		t.Errorf("a pause of no queue: %v", err)
	}
	if err := parley.CheckPause(&parley.Pause{Part: parley.PauseRelay}, 0); err == nil {
		t.Error("a pause without a length was accepted")
	}
}

func TestTheTextOfASelectionNamesItsConditions(t *testing.T) {
	due := time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for want, s := range map[string]parley.Selection{
		"all":                              {},
		"record=7":                         {ID: 7, Exchange: "mail"},
		"exchange=mail routing_key=remind": {Exchange: "mail", RoutingKey: "remind"},
		`exchange="a b" tag.kind=photo tag."x y"="1=2"`: {Exchange: "a b", Tags: map[string]string{"x y": "1=2", "kind": "photo"}},
	} {
		if got := s.String(); got != want {
			t.Errorf("%+v is %s, want %s", s, got, want)
		}
		if got, to := parley.MoveText(s, due), want+" to=2030-01-02T02:04:05Z"; got != to {
			t.Errorf("a move is %s, want %s", got, to)
		}
	}
}
