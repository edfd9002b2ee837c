package sqlstore

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parley-go/parley"
)

func TestHeadersOfOtherTypesAreRefused(t *testing.T) {
	_, err := EncodeProperties(&parley.Message{Headers: map[string]any{"n": 1}})
	if !errors.Is(err, parley.ErrInvalid) || !strings.Contains(err.Error(), `"n"`) {
		t.Errorf("an int header returns %v, want an InvalidError that names it", err)
	}
}

func TestATimestampInAnyZoneIsStored(t *testing.T) {
	last := time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)
	for _, zone := range []int{-30 * 60 * 60, 0, 5 * 60 * 60, 30 * 60 * 60} {
		var got parley.Message
		text, err := EncodeProperties(&parley.Message{Timestamp: last.In(time.FixedZone("", zone))})
		if err == nil {
			err = DecodeProperties([]byte(text), &got)
		}
		if err != nil || !got.Timestamp.Equal(last) {
			t.Errorf("%d seconds from UTC: stored %s and read %v (%v), want %v", zone, text, got.Timestamp, err, last)
		}
	}
}

// The column may have been written by other versions, or by hand.
func FuzzPropertiesAreReadOrRefused(f *testing.F) {
	f.Add(`{}`)
	f.Add(`{"message_id": "m-1", "headers": {"a": "b", "": ""}, "timestamp": "2026-01-02T03:04:05.000006Z"}`)
	f.Add(`{"app_id":"a","headers":{"a":"\u0041","b":"ü"}}`)
	f.Add(`{"headers": {"a": 1}}`)
	f.Add(`{"headers":{"a":"1"},"headers":{"b":"2"}}`)
	f.Add(`{"priority":9,"expiration":1500000000,"headers":{"a":"b"}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		var fast, slow properties
		if r := (plainReader{rest: []byte(text)}); r.properties(&fast) {
			if err := json.Unmarshal([]byte(text), &slow); err != nil {
				t.Fatalf("%s was read, but encoding/json returns %v", text, err)
			}
			if diff := cmp.Diff(slow, fast); diff != "" {
				t.Errorf("%s was read differently than by encoding/json:\n%s", text, diff)
			}
		}
		var m parley.Message
		if DecodeProperties([]byte(text), &m) != nil {
			return
		}
		again, err := EncodeProperties(&m)
		if err != nil {
			return // a year that JSON cannot represent
		}
		var back parley.Message
		if err := DecodeProperties([]byte(again), &back); err != nil {
			t.Fatalf("%s was read, but not %s: %v", text, again, err)
		}
		if diff := cmp.Diff(m, back); diff != "" {
			t.Errorf("%s was changed by writing and reading:\n%s", text, diff)
		}
	})
}
