package jsonkeys

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

var fuzzSeeds = []string{
	`{"user_id":1,"userId":2,"a":{"b_c":[{"x2y":null}]}}`,
	` [ -0.5e+3 , "\ud83d\ude00" , {"\u005fa":"é"} ] `,
	`{"a":1,"\u0061":2,"A":3,"İ":4,"ΑΣ":5}`,
	`{"a_b":1,"c":{},"aB":[]}`, `"\ud800"`, `"\u0000"`, "\"\xff\"", `NaN`, `{"a":1}}`, "\ufeff{}", ``,
	`{"id":1,"ID":2,"Id":3,"nested":{"ITEM_ID":[1]},"by_key":{"a_b":{"itemId":1}},"raw":{"a_b":1}}`,
}

// fits reports whether encoding/json and the rules for travelling accept doc,
// and fails if check, which looked at it, says otherwise.
func fits(t *testing.T, doc []byte, err error) bool {
	t.Helper()
	var limit *LimitError
	var syntax *SyntaxError
	switch {
	case errors.As(err, &limit):
		return false
	case err != nil && !errors.As(err, &syntax):
		t.Fatalf("%q: error of type %T", doc, err)
	case err != nil && (syntax.Offset < 0 || syntax.Offset > int64(len(doc))):
		t.Fatalf("%q: offset %d", doc, syntax.Offset)
	}
	want := json.Valid(doc) && mayTravel(doc)
	if (err == nil) != want {
		t.Fatalf("%q: error %v, but acceptable: %v", doc, err, want)
	}
	return want
}

func fuzzRewrite(f *testing.F, dir rewriter, rule func(string) string, trim string) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := dir(nil, doc, nil, Limits{})
		plain := []byte(strings.TrimPrefix(string(doc), trim))
		if !fits(t, plain, shifted(err, len(doc)-len(plain))) {
			return
		}
		in, err := parse(plain)
		if err != nil {
			t.Fatal(err)
		}
		if g, w := reencode(t, got), in.rewritten(rule).String(); g != w {
			t.Fatalf("%q\n got %s\nwant %s", doc, g, w)
		}
	})
}

// shifted makes the offset of err one without the byte order mark.
func shifted(err error, by int) error {
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return &SyntaxError{Offset: syntax.Offset - int64(by), Problem: syntax.Problem}
	}
	return err
}

func FuzzCamelize(f *testing.F) { fuzzRewrite(f, Camelize, CamelizeKey, "") }

func FuzzUnderscoreize(f *testing.F) {
	rule := func(s string) string { return UnderscoreizeKey(s, false) }
	fuzzRewrite(f, Underscoreize, rule, "\ufeff")
}

func FuzzMembers(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		plain := []byte(strings.TrimPrefix(string(doc), "\ufeff"))
		out := &node{kind: '{'}
		err := Members(doc, Limits{}, func(key string, value []byte) error {
			v, err := parse(value)
			out.keys, out.values = append(out.keys, key), append(out.values, v)
			return err
		})
		invalid := Valid(doc, Limits{})
		if !fits(t, plain, shifted(invalid, len(doc)-len(plain))) {
			if err == nil {
				t.Fatalf("%q: members of an invalid document", doc)
			}
			return
		}
		in, _ := parse(plain)
		if in.kind != '{' {
			if err == nil {
				t.Fatalf("%q: members of no object", doc)
			}
			return
		}
		if err != nil || out.String() != in.String() {
			t.Fatalf("%q: %v\n got %s\nwant %s", doc, err, out, in)
		}
	})
}

type fuzzed struct {
	ID      json.Number `json:"id"`
	Sha256  any
	Nested  *fuzzed
	List    []fuzzed
	ByKey   map[string]fuzzed
	Any     any
	Raw     json.RawMessage
	Kept    map[string]any `wire:"kept_as_is,keep"`
	A_B, AB any
}

// FuzzShape wants what comes in to go out again: a value read from any document
// is the same after a trip over the wire.
func FuzzShape(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := ShapeOf(reflect.TypeFor[fuzzed]())
		in, err := s.FromWire(nil, doc, Limits{})
		plain := []byte(strings.TrimPrefix(string(doc), "\ufeff"))
		if !fits(t, plain, shifted(err, len(doc)-len(plain))) {
			return
		}
		reencode(t, in) // fails if it is no JSON
		var v fuzzed
		if json.Unmarshal(in, &v) != nil {
			return // of another type
		}
		sameAfterTrip(t, s, v)
	})
}

// sameAfterTrip leaves out what is lossy by its nature, keys in untyped values.
func sameAfterTrip(t *testing.T, s *Shape, v fuzzed) {
	t.Helper()
	v.strip()
	sent, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := s.ToWire(nil, sent, Limits{})
	var limit *LimitError
	if errors.As(err, &limit) {
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", sent, err)
	}
	back, err := s.FromWire(nil, wire, Limits{})
	if err != nil {
		t.Fatalf("%s: %v", wire, err)
	}
	var got fuzzed
	if err := json.Unmarshal(back, &got); err != nil {
		t.Fatalf("%s: %v", back, err)
	}
	again, err := json.Marshal(got)
	if err != nil || string(again) != string(sent) {
		t.Fatalf("sent %s\nwire %s\nback %s, %v", sent, wire, again, err)
	}
}

func (v *fuzzed) strip() {
	v.Any, v.Sha256, v.Raw, v.ByKey = nil, nil, nil, nil
	if v.Nested != nil {
		v.Nested.strip()
	}
	for i := range v.List {
		v.List[i].strip()
	}
}
