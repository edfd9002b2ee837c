package jsonkeys

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestMembersYieldsEachMemberOfTheTopLevelInOrder(t *testing.T) {
	const doc = "\ufeff { \"eventId\" : 7 ,\"p\\u0061yload\":{\"a\":{\"b\":[ 1 ]}} , \"x\":\"\", \"x\":null}\n"
	var got []string
	err := Members([]byte(doc), Limits{}, func(key string, value []byte) error {
		got = append(got, key+"="+string(value))
		return nil
	})
	want := `eventId=7|payload={"a":{"b":[ 1 ]}}|x=""|x=null`
	if err != nil || strings.Join(got, "|") != want {
		t.Errorf("got %s, %v\nwant %s", strings.Join(got, "|"), err, want)
	}
}

func TestMembersChecksTheWholeDocumentBeforeTheFirstMember(t *testing.T) {
	for doc, problem := range map[string]string{
		`{"a":1,"b":[1,]}`:      `unexpected ']'`,
		`{"a":1} x`:             `unexpected 'x'`,
		`{"a":1,"b":"\ud800"}`:  "string with lone surrogate",
		`[1]`:                   "not an object",
		` null`:                 "not an object",
		`{"a":{"b":1},"b":nan}`: `unexpected 'a'`,
	} {
		err := Members([]byte(doc), Limits{}, func(string, []byte) error {
			t.Errorf("%s: a member of a bad document was yielded", doc)
			return nil
		})
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Problem != problem {
			t.Errorf("%s: %v, want %s", doc, err, problem)
		}
	}
}

func TestMembersStopsAtTheErrorOfYield(t *testing.T) {
	stop, calls := errors.New("stop"), 0
	err := Members([]byte(`{"a":1,"b":2}`), Limits{}, func(string, []byte) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestMembersMayBeUsedInsideMembers(t *testing.T) {
	var got []string
	err := Members([]byte(`{"a":{"b\u005f":1},"c\u005f":{"d":2}}`), Limits{}, func(outer string, v []byte) error {
		return Members(v, Limits{}, func(inner string, _ []byte) error {
			got = append(got, outer+"."+inner)
			return nil
		})
	})
	if s := strings.Join(got, " "); err != nil || s != "a.b_ c_.d" {
		t.Errorf("%q, %v", s, err)
	}
}

func TestErrorsSurviveWrapping(t *testing.T) {
	err := fmt.Errorf("parley: read body: %w", Valid([]byte(`{"a":1`), Limits{}))
	if want := "parley: read body: invalid json at byte 6: unexpected end"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if json.Valid([]byte(`{"a":1`)) {
		t.Error("encoding/json disagrees")
	}
}
