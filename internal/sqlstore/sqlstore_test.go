package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-go/parley"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLater = errors.New("later")

func later(err error) bool { return errors.Is(err, errLater) }

func TestRetryGoesOnAfterTransientErrorsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := Retry(t.Context(), later, func() error {
			calls++
			if calls < 20 {
				return errLater
			}
			return nil
		})
		if err != nil || calls != 20 {
			t.Errorf("after %d calls Retry returns %v, want nil after 20", calls, err)
		}
		calls = 0
		final := errors.New("final")
		err = Retry(t.Context(), later, func() error { calls++; return final })
		if !errors.Is(err, final) || calls != 1 {
			t.Errorf("after %d calls Retry returns %v, want the final error at once", calls, err)
		}
	})
}

func TestRetryEndsWithItsContextAndReportsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := Retry(ctx, later, func() error { return errLater })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errLater) {
			t.Errorf("Retry returns %v, want both the context's error and the last one", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("Retry took %v, want the whole minute", took)
		}
	})
}

func TestDifferentTagsHaveDifferentDigests(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{
		{"a", "b", "c", "d"}, {"ab", "", "c", "d"}, {"", "ab", "c", "d"}, {"a", "b", "cd", ""}, {"a", "b", "", "cd"}, {"a", "b", "c", "D"}, {"a", "b", "c", "d "},
	} {
		d := string(tagDigest(parts[0], parts[1], parts[2], parts[3]))
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have the same digest", parts, other)
		}
		seen[d] = parts
		if len(d) != 16 {
			t.Errorf("a digest has %d bytes, want 16", len(d))
		}
	}
}

func TestSetDigestDoesNotDependOnTheOrderOfTags(t *testing.T) {
	tags := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	want := setDigest(parley.Selection{Exchange: "x", Tags: tags})
	for range 20 {
		if got := setDigest(parley.Selection{Exchange: "x", Tags: tags}); !slices.Equal(got, want) {
			t.Fatal("the same tags have two digests")
		}
	}
}

func TestChunksKeepAllIDsInOrder(t *testing.T) {
	ids := make([]int64, 2*chunk+1)
	for i := range ids {
		ids[i] = int64(i)
	}
	var lists []string
	err := Chunks(ids, func(list string) error {
		lists = append(lists, strings.Trim(list, "()"))
		return nil
	})
	if err != nil || len(lists) != 3 {
		t.Fatalf("%d ids are in %d lists (%v), want 3", len(ids), len(lists), err)
	}
	if got := strings.Split(strings.Join(lists, ","), ","); len(got) != len(ids) || got[len(got)-1] != strconv.Itoa(2*chunk) {
		t.Errorf("the lists hold %d ids up to %s", len(got), got[len(got)-1])
	}
	if err := Chunks(nil, func(string) error { return errLater }); err != nil {
		t.Errorf("no ids: %v", err)
	}
}

func TestHeadersOfOtherTypesAreRefused(t *testing.T) {
	_, err := EncodeProperties(&parley.Message{Headers: map[string]any{"n": 1}})
	if !errors.Is(err, parley.ErrInvalid) || !strings.Contains(err.Error(), `"n"`) {
		t.Errorf("an int header returns %v, want an InvalidError that names it", err)
	}
}

func TestABatchIsBoundByRowsAndBytes(t *testing.T) {
	big := parley.Record{Message: parley.Message{Body: make([]byte, insertBytes)}}
	conditional := parley.Record{UnlessTags: map[string]string{"a": "b"}}
	small := make([]parley.Record, insertRows+1)
	for _, c := range []struct {
		records []parley.Record
		want    int
	}{
		{[]parley.Record{big, big}, 1},
		{[]parley.Record{small[0], small[1], conditional}, 2},
		{[]parley.Record{conditional, small[0]}, 0},
		{small, insertRows},
	} {
		if got := batchLen(c.records); got != c.want {
			t.Errorf("%d records go into one statement, want %d", got, c.want)
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
