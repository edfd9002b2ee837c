package parley_test

import (
	"testing"

	"github.com/parley-go/parley"
)

func TestRoomHoldsRecordsUntilTheShareIsUsedUpAndTheFirstOneAlways(t *testing.T) {
	room := parley.ClaimOptions{MaxBytes: 100}.Room(2)
	for i, body := range []int{20, 30, 1, 0} {
		if got, want := room(body), i < 2; got != want {
			t.Errorf("record %d of %d bytes has room: %v, want %v", i, body, got, want)
		}
	}
	large := parley.ClaimOptions{MaxBytes: 100}.Room(1)
	if !large(1000) {
		t.Error("the first record has no room: it would never be published")
	}
	if large(1) {
		t.Error("a record behind one that uses up the share has room")
	}
}
