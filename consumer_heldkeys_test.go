package parley

import (
	"strconv"
	"testing"
)

func heldJob(key string, replays int) *job {
	return &job{d: &Delivery{history: History{Replays: replays}}, key: key, route: &Route{options: routeOptions{hold: true}}}
}

func TestAHeldKeyIsReleasedByANewerReplayOnly(t *testing.T) {
	c := &Consumer{}
	c.holdKey(heldJob("a", 1))
	for _, step := range []struct {
		name    string
		job     *job
		held    bool
		because string
	}{
		{"another key", heldJob("b", 0), false, "it was never held"},
		{"a later message", heldJob("a", 0), true, "its key is held"},
		{"a message of the same replay", heldJob("a", 1), true, "it is not newer than the failure"},
		{"a newer replay", heldJob("a", 2), false, "it releases the key"},
		{"a message after the release", heldJob("a", 0), false, "the key was released"},
	} {
		if got := c.held.behind(step.job); got != step.held {
			t.Errorf("%s: held is %v, want %v: %s", step.name, got, step.held, step.because)
		}
	}
}

func TestNoKeyIsHeldWithoutHoldKey(t *testing.T) {
	c := &Consumer{}
	plain := heldJob("a", 0)
	plain.route = &Route{}
	c.holdKey(plain)
	c.holdKey(heldJob("", 0))
	if len(c.held.keys) != 0 {
		t.Errorf("%d keys are held, want none", len(c.held.keys))
	}
	c.holdKey(heldJob("a", 0))
	if c.held.behind(plain) {
		t.Error("a message of a route without HoldKey is held")
	}
}

func TestAKeyThatCannotBeRememberedHoldsAllKeys(t *testing.T) {
	c := &Consumer{}
	for i := range heldLimit {
		c.holdKey(heldJob(strconv.Itoa(i), 0))
	}
	if c.held.behind(heldJob("other", 0)) {
		t.Error("another key is held although all held keys are remembered")
	}
	c.holdKey(heldJob("one more", 0))
	if !c.held.behind(heldJob("other", 0)) || len(c.held.keys) != heldLimit {
		t.Errorf("%d keys are remembered, and another key is not held", len(c.held.keys))
	}
}
