package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// FuzzBodies reads arbitrary bodies as each kind of message: no panic, and what cannot be read is a
// *MalformedError, so that it is parked at once.
func FuzzBodies(f *testing.F) {
	for _, version := range pythonVersions {
		for _, v := range readVectors[wireVector](f, "wire-"+version+".json") {
			if v.Wire != nil && len(v.Wire.Body) < 1000 {
				f.Add([]byte(v.Wire.Body))
			}
		}
		for _, v := range readVectors[consumeVector](f, "consume-"+version+".json") {
			if len(v.Body) < 1000 {
				f.Add([]byte(v.Body))
			}
		}
	}
	store := memory.NewStore()
	in := must(parley.NewInbox(store, &parley.InboxConfig{Consumer: "c"}))
	out := must(parley.NewOutbox(store, nil))
	type payload struct {
		ID   json.Number
		Name *string
		Rest map[string]any
	}
	enough := errors.New("enough")
	r := parley.NewRouter()
	parley.OnPattern(r, "event", "", func(context.Context, parley.Event[payload]) error { return enough })
	parley.OnPattern(r, "any", "", func(context.Context, parley.Event[any]) error { return enough })
	parley.OnCommand(r, parley.NewCommand[payload]("command", "k"), func(context.Context, parley.Command[payload]) error { return enough })
	parley.OnCallOutsideTx(r, in, out, parley.NewCall[payload, int]("call", "k"), func(context.Context, parley.Call[payload]) (int, error) { return 0, enough })
	parley.OnReply(r, parley.NewCall[int, payload]("s", "m"), func(context.Context, parley.Reply[payload]) error { return enough })
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, address := range [][2]string{{"event", "k"}, {"any", "k"}, {"command", "k"}, {"call", "k"}, {"reply", "call-response.s.m"}} {
			d := parley.NewDelivery(parley.Message{Exchange: address[0], RoutingKey: address[1], Body: body}, "q", false, nil)
			err := r.Dispatch(t.Context(), d)
			_, malformed := errors.AsType[*parley.MalformedError](err)
			if err != nil && !malformed && !errors.Is(err, enough) {
				t.Errorf("%s: %v (a %T)", address[0], err, err)
			}
			_ = parley.Identity(&d.Message)
		}
	})
}

type clashing struct {
	Nested []struct {
		Line1 string `json:"line_1"`
		First string `json:"line1"`
	}
}

func TestContractsWithTwoFieldsOfOneWireNamePanicWhenDeclared(t *testing.T) {
	for name, declare := range map[string]func(){
		"event":   func() { parley.NewEvent[clashing]("user", "renamed") },
		"command": func() { parley.NewCommand[clashing]("sms", "send") },
		"request": func() { parley.NewCall[clashing, int]("shop", "price") },
		"reply":   func() { parley.NewCall[int, *clashing]("shop", "price") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text := fmt.Sprint(recover())
				for _, want := range []string{`Line1 ("line_1")`, `First ("line1")`} {
					if !strings.Contains(text, want) {
						t.Errorf("panic %q, want it to name %s", text, want)
					}
				}
			}()
			declare()
		})
	}
}
