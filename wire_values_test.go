package parley_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestTimesAndDurationsBehindInterfacesAreWrittenAsInStructs(t *testing.T) {
	at, took := time.Date(2023, 6, 2, 12, 0, 0, 123456789, time.FixedZone("", 2*3600)), 90*time.Second
	type holder struct {
		Any  any
		Map  map[string]any
		List []any
		Own  ownJSON
		Back *holder
	}
	const atText, tookText = `"2023-06-02T10:00:00.123456Z"`, `"P0DT00H01M30S"`
	for _, c := range []struct {
		v    any
		want string
	}{
		{at, atText},
		{&took, tookText},
		{map[string]any{"at": at, "deep": []any{1, map[string]any{"took": took}}}, `{"at":` + atText + `,"deep":[1,{"took":` + tookText + `}]}`},
		{map[string][]any{"a": {nil, &at}}, `{"a":[null,` + atText + `]}`},
		{[2]any{took, "text"}, `[` + tookText + `,"text"]`},
		{[]any{ownJSON{`{"at":1}`}, at}, `[{"at":1},` + atText + `]`},
	} {
		before := reflect.ValueOf(c.v)
		rec, err := parley.NewEvent[any]("a", "b").Record(c.v)
		if err != nil || !strings.Contains(string(rec.Body), `"payload": `+c.want) {
			t.Errorf("%v: got %s (%v), want the payload %s", c.v, rec.Body, err, c.want)
		}
		if before.Kind() == reflect.Map && !reflect.DeepEqual(before.Interface(), c.v) {
			t.Errorf("the caller's value became %v", c.v)
		}
	}
	v := holder{Any: at, Map: map[string]any{"t": took}, List: []any{took}, Own: ownJSON{`{"at":1}`}, Back: &holder{Any: &took, Own: ownJSON{"1"}}}
	rec, err := parley.NewEvent[holder]("a", "b").Record(v)
	want := `{"any":` + atText + `,"map":{"t":` + tookText + `},"list":[` + tookText + `],"own":{"at":1},"back":{"any":` + tookText
	if err != nil || !strings.Contains(string(rec.Body), want) {
		t.Errorf("got %s (%v), want %s", rec.Body, err, want)
	}
	if v.Any != at || v.Map["t"] != took || v.List[0] != took || v.Back.Any != &took {
		t.Errorf("the caller's value became %+v", v)
	}
	if rec, err = parley.NewEvent[any]("a", "b").Verbatim().Record(took); err != nil || !strings.Contains(string(rec.Body), `"payload": 90000000000`) {
		t.Errorf("verbatim: got %s (%v)", rec.Body, err)
	}
	far := time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -5*3600))
	if _, err := parley.NewEvent[any]("a", "b").Record([]any{far}); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid for the year 10000", err)
	}
}

func TestATimeBehindAnInterfaceWithMethodsIsWrittenAsEncodingJSONDoes(t *testing.T) {
	type holder struct {
		Stringer fmt.Stringer
		Any      any
	}
	rec, err := parley.NewEvent[[]holder]("a", "b").Record([]holder{{time.Second, time.Second}, {time.Unix(0, 0).UTC(), nil}})
	want := `[{"stringer":1000000000,"any":"P0DT00H00M01S"},{"stringer":"1970-01-01T00:00:00Z","any":null}]`
	if err != nil || !strings.Contains(string(rec.Body), want) {
		t.Errorf("got %s (%v), want %s", rec.Body, err, want)
	}
}

func TestAPayloadThatContainsItselfIsInvalid(t *testing.T) {
	type node struct {
		Any  any
		Next *node
	}
	circle, loop := &node{Any: time.Second}, map[string]any{"at": time.Second}
	circle.Next, loop["loop"] = circle, loop
	for _, v := range []any{circle, loop, []any{loop}} {
		if _, err := parley.NewEvent[any]("a", "b").Record(v); !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
	}
	if _, err := parley.NewEvent[*node]("a", "b").Record(circle); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestAFieldWhoseMethodsNeedAPointerIsWrittenByThem(t *testing.T) {
	type account struct{ Balance big.Int }
	var v account
	v.Balance.SetString("123456789012345678901234567890", 10)
	if got := receiveEvent[account, account](t, v); got.Balance.Cmp(&v.Balance) != 0 {
		t.Errorf("got %v, want %v", &got.Balance, &v.Balance)
	}
}

func TestWhatIsAcceptedFitsTheReadersLimitsOfDepthAndKeys(t *testing.T) {
	deep := func(n int) (v any) {
		for range n {
			v = []any{v}
		}
		return v
	}
	wide := func(n int) map[string]any {
		m := make(map[string]any, n)
		for i := range n {
			m[strings.Repeat("k", i%7+1)+string(rune('a'+i%26))+time.Duration(i).String()] = 1
		}
		return m
	}
	readers := parley.NewRouter()
	parley.On(readers, parley.NewEvent[any]("events", "b"), func(context.Context, parley.Event[any]) error { return nil })
	parley.OnCommand(readers, parley.NewCommand[any]("commands", "b"), func(context.Context, parley.Command[any]) error { return nil })
	store, call := memory.NewStore(), parley.NewCall[any, any]("calls", "b")
	in, out := must(parley.NewInbox(store, &parley.InboxConfig{Consumer: "c"})), must(parley.NewOutbox(store, nil))
	parley.OnCall(readers, in, out, call, func(_ context.Context, _ *memory.Tx, c parley.Call[any]) (any, error) { return c.Data, nil })
	parley.OnReply(readers, call, func(context.Context, parley.Reply[any]) error { return nil })
	accepted, refused := 0, 0
	for _, payload := range []any{deep(198), deep(199), deep(200), wide(99_980), wide(99_995), wide(100_000)} {
		for name, record := range map[string]func() (parley.Record, error){
			"event": func() (parley.Record, error) { return parley.NewEvent[any]("events", "b").Record(payload) },
			"call": func() (parley.Record, error) {
				return call.Record(payload, parley.WithReplyTo("r"), parley.WithExpiresIn(time.Hour))
			},
			"command": func() (parley.Record, error) {
				return parley.NewCommand[map[string]any]("commands", "b").Record(map[string]any{"in": payload}, parley.WithExpiresIn(time.Hour))
			},
		} {
			rec, err := record()
			if err != nil {
				refused++
				if !errors.Is(err, parley.ErrInvalid) {
					t.Errorf("%s: got %v, want ErrInvalid", name, err)
				}
				continue
			}
			accepted++
			if err := readers.Dispatch(t.Context(), dispatched(rec)); err != nil {
				t.Errorf("a %s that was accepted cannot be read: %v", name, err)
			}
		}
	}
	for _, reply := range store.Pending() {
		if err := readers.Dispatch(t.Context(), dispatched(reply)); err != nil {
			t.Errorf("a reply cannot be read: %v", err)
		}
	}
	if accepted < 5 || refused < 5 {
		t.Errorf("%d accepted and %d refused: the test shows little", accepted, refused)
	}
}
