package jsonkeys

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type clashInner struct {
	Line1 string `json:"line_1"`
	First string `json:"line1"`
}

type ClashBase struct {
	UserID int `json:"user_id"`
}

func TestTwoFieldsWithOneNameOnTheWireAreFoundWhereverTheyAre(t *testing.T) {
	type flat struct {
		A int `json:"user_id"`
		B int `json:"userId"`
	}
	type untagged struct {
		UserID int
		Tagged int `json:"user_id"`
	}
	type wireTags struct {
		A int `wire:"x"`
		B int `wire:"x,keep"`
	}
	type nested struct{ Deep map[string][]*clashInner }
	type embedding struct {
		ClashBase
		UserId string `json:"userId"`
	}
	for typ, want := range map[reflect.Type][]string{
		reflect.TypeFor[flat]():                  {`A ("user_id")`, `B ("userId")`, `"userId" on the wire`},
		reflect.TypeFor[untagged]():              {`UserID ("UserID")`, `Tagged ("user_id")`},
		reflect.TypeFor[wireTags]():              {`A ("A")`, `B ("B")`, `"x" on the wire`},
		reflect.TypeFor[nested]():                {`clashInner`, `Line1 ("line_1")`, `First ("line1")`},
		reflect.TypeFor[*nested]():               {`Line1 ("line_1")`},
		reflect.TypeFor[map[string]clashInner](): {`Line1 ("line_1")`},
		reflect.TypeFor[embedding]():             {`ClashBase.UserID ("user_id")`, `UserId ("userId")`},
	} {
		err := ShapeOf(typ).Clash()
		if _, ok := errors.AsType[*ClashError](err); !ok {
			t.Errorf("%v: %v", typ, err)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %q does not contain %q", typ, err, part)
			}
		}
	}
}

func TestTypesWhoseFieldsAllTravelHaveNoClash(t *testing.T) {
	type shadowed struct {
		ClashBase
		ID int `json:"user_id"` // encoding/json uses this one only
	}
	type hidden struct {
		A int `json:"user_id"`
		B int `json:"-"`
	}
	type kept struct {
		Inner clashInner `wire:",keep"`
	}
	type different struct {
		A int `json:"user_id"`
		B int `json:"userId" wire:"otherUser"`
	}
	type crossed struct {
		UserID int `json:"a" wire:"b"`
		Other  int `json:"b" wire:"a_"`
		Third  int `json:"_a" wire:"B"`
	}
	for _, v := range []any{
		shadowed{ID: 1}, hidden{A: 1}, kept{clashInner{"1", "2"}}, different{1, 2}, crossed{1, 2, 3}, user{}, map[string]any{"a": "1"}, 1,
	} {
		s := ShapeOf(reflect.TypeOf(v))
		if err := s.Clash(); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := s.ToWire(nil, text, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := s.FromWire(nil, wire, Limits{})
		got := reflect.New(reflect.TypeOf(v))
		if err == nil {
			err = json.Unmarshal(back, got.Interface())
		}
		if again, _ := json.Marshal(got.Interface()); err != nil || string(again) != string(text) {
			t.Errorf("%s, on the wire %s, was read as %s (%v)", text, wire, again, err)
		}
	}
	if err := ShapeOf(reflect.TypeFor[any]()).Clash(); err != nil {
		t.Error(err)
	}
}
