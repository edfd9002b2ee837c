package parley

import (
	"context"
	"errors"
	"testing"
)

// A verdict that could not be carried out is carried out again: the handler must not run twice for it.
func TestAJobWhoseVerdictWaitsIsNotAttemptedAgain(t *testing.T) {
	c := &Consumer{}
	var outcomes []Outcome
	c.cfg.Hooks.Done = func(r ConsumerReport) { outcomes = append(outcomes, r.Outcome) }
	s := &session{c: c, hard: t.Context()}
	route := &Route{handler: HandlerFunc(func(context.Context, *Delivery) error {
		t.Error("the handler was called")
		return nil
	})}
	j := &job{d: NewDelivery(Message{}, "q", false, failingAcker{}), route: route, verdict: verdict{action: actAck, outcome: OutcomeHandled}}
	if n := s.step(j); n.again || len(outcomes) != 1 || outcomes[0] != OutcomeHandled {
		t.Errorf("next step %+v and outcomes %v, want the delivery acked and reported", n, outcomes)
	}
}

func TestAKeyIsCheckedBeforeTheFirstAttemptOnly(t *testing.T) {
	c := &Consumer{}
	c.holdKey(heldJob("a", 0))
	s := &session{c: c}
	fresh, tried, other := heldJob("a", 0), heldJob("a", 0), heldJob("", 0)
	tried.tries = 1
	if v := s.precheck(fresh); v.action != actPark || !errors.Is(v.err, errKeyHeld) {
		t.Errorf("a new delivery of a held key: %+v, want it parked", v)
	}
	for what, j := range map[string]*job{"a delivery in its second attempt": tried, "a delivery without a key": other} {
		if v := s.precheck(j); v.action != actNone {
			t.Errorf("%s: %+v, want an attempt", what, v)
		}
	}
}
