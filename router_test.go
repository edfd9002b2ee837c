package parley_test

import (
	"context"
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
