package parley

import (
	"errors"
	"testing"
	"time"
)

// busy returns a switch after so many successes that the share of failures does not trip it.
func busy() *killSwitch {
	k := &killSwitch{cfg: KillSwitchConfig{Share: 0.5, Minimum: 10, Window: time.Hour}}
	for range 5000 {
		k.note(nil, 0)
	}
	return k
}

var errDown = errors.New("the database is down")

func TestConsecutiveFailuresTripTheKillSwitchHoweverMuchWasHandledBefore(t *testing.T) {
	k := busy()
	for range 29 {
		if k.note(errDown, 0) {
			t.Fatal("fewer than 30 failures in a row have tripped the switch")
		}
	}
	k.note(nil, 3) // ends the row, although it is a retry
	for n := range 29 {
		if k.note(errDown, 0) {
			t.Fatalf("%d failures after a success have tripped the switch", n+1)
		}
	}
	if !k.note(errDown, 0) {
		t.Error("30 failures in a row have not tripped the switch")
	}
}

// Poison messages fail repeatedly, and return from their retry queue in a batch.
func TestConsecutiveRetryFailuresDoNotTripTheKillSwitchOfABusyConsumer(t *testing.T) {
	k := busy()
	for n := range 1000 {
		if k.note(errDown, 1+n%3) {
			t.Fatalf("%d retries have tripped the switch", n+1)
		}
	}
	if !tripsAfter(k, 30) {
		t.Error("30 messages that failed for the first time after them have not tripped the switch")
	}
}

// tripsAfter notes n first failures, each followed by a failing retry, and reports whether the last one has tripped the switch.
func tripsAfter(k *killSwitch, n int) bool {
	for range n - 1 {
		if k.note(errDown, 0) || k.note(errDown, 1) {
			return false
		}
	}
	return k.note(errDown, 0)
}

func TestAKillSwitchWithAShareAboveOneNeverTrips(t *testing.T) {
	k := &killSwitch{cfg: KillSwitchConfig{Share: 1.1, Minimum: 10, Window: time.Hour}}
	for range 1000 {
		if k.note(errDown, 0) {
			t.Fatal("the switch has tripped")
		}
	}
}
