package parley

import (
	"errors"
	"testing"
)

func TestFingerprintsGroupFailuresOfOneCause(t *testing.T) {
	d := &Delivery{Message: Message{Exchange: "user", RoutingKey: "renamed"}}
	of := func(text string) string { return fingerprint(d, errors.New(text)) }
	one := of(`user 4711: insert: duplicate key "a@example.com" (request 9e3f4a89-1f2c-4d3e-8a9b-0c1d2e3f4a5b)`)
	two := of(`user 12: insert: duplicate key "b" (request 00000000-0000-4000-8000-000000000000)`)
	if one != two || len(one) != 32 {
		t.Errorf("fingerprints %q and %q, want the same", one, two)
	}
	if one == of("user 12: connection refused") {
		t.Error("another cause has the same fingerprint")
	}
	other := &Delivery{Message: Message{Exchange: "user", RoutingKey: "deleted"}}
	if fingerprint(other, errors.New("user 12: connection refused")) == of("user 12: connection refused") {
		t.Error("another route has the same fingerprint")
	}
}

func TestAnOutcomeWithoutAnErrorHasNoFingerprint(t *testing.T) {
	if got := fingerprint(&Delivery{}, nil); got != "" {
		t.Errorf("got %q", got)
	}
}
