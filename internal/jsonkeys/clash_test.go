package jsonkeys

import (
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
	for _, typ := range []reflect.Type{
		reflect.TypeFor[shadowed](), reflect.TypeFor[hidden](), reflect.TypeFor[kept](), reflect.TypeFor[different](),
		reflect.TypeFor[user](), reflect.TypeFor[any](), reflect.TypeFor[map[string]any](), reflect.TypeFor[int](),
	} {
		if err := ShapeOf(typ).Clash(); err != nil {
			t.Errorf("%v: %v", typ, err)
		}
	}
}
