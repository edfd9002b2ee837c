package parley_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

func TestRoutesListsAllRoutesWithThePlaceOfTheirRegistration(t *testing.T) {
	r := parley.NewRouter()
	h := parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil })
	r.Handle("order", "placed", h)
	r.Handle("order", "paid.*", h)
	r.Handle("account", "#", h)
	var got []string
	for _, route := range r.Routes() {
		got = append(got, route.Exchange+" "+route.Pattern)
		if !strings.Contains(route.Place, "router_test.go:") {
			t.Errorf("route %s %s was registered at %q, want a line of this file", route.Exchange, route.Pattern, route.Place)
		}
		if exact := route.Pattern == "placed"; route.Exact != exact {
			t.Errorf("route %s %s: Exact is %v", route.Exchange, route.Pattern, route.Exact)
		}
	}
	if want := "account #, order paid.*, order placed"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
	}
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

func TestRouterTakesTheMostSpecificRoute(t *testing.T) {
	r := parley.NewRouter()
	var took string
	add := func(exchange, pattern string) {
		name := exchange + "/" + pattern
		r.HandleFunc(exchange, pattern, func(context.Context, *parley.Delivery) error { took = name; return nil })
	}
	for _, p := range []string{"#", "user.*", "user.#", "user.renamed", "*.renamed", "#.last"} {
		add("ex", p)
	}
	add(parley.AnyExchange, "user.renamed")
	r.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { took = "default"; return nil }))
	for _, c := range [][3]string{
		{"ex", "user.renamed", "ex/user.renamed"},
		{"ex", "user.x", "ex/user.*"},
		{"ex", "user.x.y", "ex/user.#"},
		{"ex", "order.renamed", "ex/*.renamed"},
		{"ex", "a.b.last", "ex/#.last"},
		{"ex", "", "ex/#"},
		{"other", "user.renamed", "*/user.renamed"},
		{"other", "x", "default"},
	} {
		d := parley.NewDelivery(parley.Message{Exchange: c[0], RoutingKey: c[1]}, "q", false, nil)
		if err := r.Dispatch(t.Context(), d); err != nil || took != c[2] {
			t.Errorf("%s %s: took %s (%v), want %s", c[0], c[1], took, err, c[2])
		}
	}
}

func TestSecondHandlerForOneRoutePanicsNamingBothPlaces(t *testing.T) {
	r := parley.NewRouter()
	h := func(context.Context, *parley.Delivery) error { return nil }
	r.HandleFunc("ex", "a.*", h)
	defer func() {
		text := fmt.Sprint(recover())
		if strings.Count(text, "router_test.go:") != 2 {
			t.Errorf("panic %q does not name both places", text)
		}
	}()
	r.HandleFunc("ex", "a.*", h)
}
