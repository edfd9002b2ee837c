package parley_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

func TestATenthOfABatchAndAtLeastOneRecordIsReservedForScheduledOnes(t *testing.T) {
	for limit, want := range map[int]int{2: 1, 5: 1, 9: 1, 10: 1, 19: 1, 20: 2, 500: 50} {
		if n := (parley.ClaimOptions{Limit: limit}).Reserved(); n != want {
			t.Errorf("%d of %d records are reserved, want %d", n, limit, want)
		}
	}
	seen := map[int]bool{}
	for range 1000 {
		seen[parley.ClaimOptions{Limit: 1}.Reserved()] = true
	}
	if !seen[0] || !seen[1] || len(seen) != 2 {
		t.Errorf("of batches of one record %v are reserved, want some and not all", seen)
	}
}

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

func TestABodyThatIsNoObjectIsInvalid(t *testing.T) {
	for _, kind := range []parley.Kind{parley.KindEvent, parley.KindCall} {
		for _, body := range []string{"", "[1,2,3]", `"text"`, "17", "null", "\ufeff{\"a\":1}", `{"a":1`, `{"a":1}}`, "{", "\v{}"} {
			invalid(t, map[string]func(context.Context, *parley.TxOutbox) error{
				fmt.Sprintf("%s %q", kind, body): func(ctx context.Context, to *parley.TxOutbox) error {
					_, err := to.Record(ctx, parley.Record{Message: parley.Message{Exchange: "x", Kind: kind, Body: []byte(body)}})
					return err
				},
			})
			if got := parley.FinishBody(kind, 42, []byte(body)); !strings.HasSuffix(string(got), body[min(1, len(body)):]) {
				t.Errorf("FinishBody makes %q of %q", got, body)
			}
			if err := parley.CheckBody(kind, []byte(body)); !errors.Is(err, parley.ErrInvalid) {
				t.Errorf("CheckBody takes %q (%v)", body, err)
			}
		}
	}
	if err := parley.CheckBody("", []byte("any text")); err != nil {
		t.Errorf("a message of no kind may have any text as its body: %v", err)
	}
}

func TestABodyGetsItsNumberOnce(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                        `{"eventId": 42}`,
		` { } `:                     `{"eventId": 42}`,
		`{"a":1}`:                   `{"eventId": 42, "a":1}`,
		`{"eventId" : 5, "a":1}`:    `{"eventId" : 5, "a":1}`,
		"{ \"eventId\"\n:5}":        "{ \"eventId\"\n:5}",
		`{"eventIdentity":5}`:       `{"eventId": 42, "eventIdentity":5}`,
		`[1,2,3]`:                   `[1,2,3]`,
		`"text"`:                    `"text"`,
		"\ufeff{\"a\":1}":           "\ufeff{\"a\":1}",
		`{"eventId": 7, "payload"}`: `{"eventId": 7, "payload"}`,
	} {
		if got := string(parley.FinishBody(parley.KindEvent, 42, []byte(body))); got != want {
			t.Errorf("FinishBody makes %s of %s, want %s", got, body, want)
		}
	}
	if got := string(parley.FinishBody(parley.KindCall, 42, []byte(`{"id" : 5}`))); got != `{"id" : 5}` {
		t.Errorf("FinishBody makes %s of a call with a number", got)
	}
}
