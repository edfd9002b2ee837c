package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
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

// FuzzRoutes compares the router with the definition of topic patterns.
func FuzzRoutes(f *testing.F) {
	for _, s := range [][2]string{{"a.*.c", "a.b.c"}, {"#", ""}, {"*", ""}, {"a.#.b", "a.b"}, {"#.a.#", "x.a"}, {"*.#", "a.b.c"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, key string) {
		if len(pattern) > 60 || len(key) > 60 || pattern == "" {
			return
		}
		took := false
		r := parley.NewRouter()
		r.HandleFunc("x", pattern, func(context.Context, *parley.Delivery) error { took = true; return nil })
		_ = r.Dispatch(t.Context(), parley.NewDelivery(parley.Message{Exchange: "x", RoutingKey: key}, "q", false, nil))
		if want := naiveMatch(words(pattern), words(key)); took != want {
			t.Errorf("pattern %q, key %q: %v, want %v", pattern, key, took, want)
		}
	})
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ".")
}

func naiveMatch(pattern, key []string) bool {
	switch {
	case len(pattern) == 0:
		return len(key) == 0
	case pattern[0] == "#":
		return naiveMatch(pattern[1:], key) || len(key) > 0 && naiveMatch(pattern, key[1:])
	case len(key) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == key[0]) && naiveMatch(pattern[1:], key[1:])
}

// FuzzTags checks that a tag's text does not depend on how often it is cast, and that floats read back.
func FuzzTags(f *testing.F) {
	f.Add("user_id", "1", 1.5)
	f.Add("", "True", 1e16)
	f.Fuzz(func(t *testing.T, name, value string, number float64) {
		c := parley.NewEvent[int]("x", "k")
		rec, err := c.Record(1, parley.WithDueAt(due), parley.WithTags(parley.Tags{name: value, name + "n": number}))
		if err != nil {
			if !errors.Is(err, parley.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		if rec.Tags[name] != value {
			t.Errorf("%q became %q", value, rec.Tags[name])
		}
		if back, err := strconv.ParseFloat(rec.Tags[name+"n"], 64); err != nil || back != number && number == number {
			t.Errorf("%v became %q", number, rec.Tags[name+"n"])
		}
	})
}
