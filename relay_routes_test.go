package parley

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnUnroutableOutcomeIsBelievedAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r routes
		if r.doubtful("x", "a") {
			t.Error("an address that never took a message is in doubt")
		}
		r.accepted("x", "a")
		if r.doubtful("x", "b") {
			t.Error("another key of the exchange is in doubt")
		}
		for range 10 {
			if !r.doubtful("x", "a") {
				t.Fatal("believed within 10 seconds")
			}
			time.Sleep(time.Second)
		}
		if r.doubtful("x", "a") {
			t.Error("still in doubt after 10 seconds")
		}
		r.accepted("x", "a")
		if !r.doubtful("x", "a") {
			t.Error("not in doubt, although a queue took a message again")
		}
	})
}

func TestAnAcceptedMessageEndsTheDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r routes
		r.accepted("x", "a")
		r.doubtful("x", "a")
		time.Sleep(9 * time.Second)
		r.accepted("x", "a")
		r.doubtful("x", "a")
		time.Sleep(9 * time.Second)
		if !r.doubtful("x", "a") {
			t.Error("the time of the first doubt counts although a message was accepted after it")
		}
	})
}

// Routing keys can be without number, for example ids.
func TestTheRelayRemembersABoundedNumberOfAddresses(t *testing.T) {
	var r routes
	for i := range 3*knownAddresses + 1 {
		r.accepted("x", strconv.Itoa(i))
		r.mayWarn("x", strconv.Itoa(i))
		if len(r.bound) > knownAddresses || len(r.warned) > knownAddresses {
			t.Fatalf("%d and %d addresses are remembered, want at most %d", len(r.bound), len(r.warned), knownAddresses)
		}
	}
	if !r.doubtful("x", strconv.Itoa(3*knownAddresses)) {
		t.Error("the last address is forgotten")
	}
}

func TestAnAddressIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r routes
		logged := 0
		for range 100 {
			if r.mayWarn("x", "a") {
				logged++
			}
			time.Sleep(time.Second)
		}
		if logged != 2 {
			t.Errorf("logged %d times in 100 seconds, want 2", logged)
		}
	})
}
