package command

import (
	"context"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

// unboundHandler registers a handler for user/renamed.
func unboundHandler(s *service.Service) error {
	s.Router.HandleFunc("user", "renamed", func(context.Context, *parley.Delivery) error { return nil })
	return nil
}

func TestRoutesAreDrawn(t *testing.T) {
	register := func(s *service.Service) error {
		s.Router.Handle("user", "renamed", parley.HandlerFunc(nil))
		s.Router.Handle("sms", "", parley.HandlerFunc(nil))
		return nil
	}
	for format, want := range map[string][]string{
		"mermaid": {"flowchart LR", "accTitle: Routes of shop", "accDescr: 1 exchange, 1 queue, 2 handlers", `n1("user<br>topic")`, `n0["orders<br>queue"]`, `-->|"#35;"| n0`, `-.->|"not bound"|`},
		"dot":     {"digraph {", `label="user\ntopic"`, "style=dashed"},
		"svg":     {"<svg ", "<title ", "prefers-color-scheme"},
		"json":    {`"exchange":"user"`, `"bound_by":"user:#"`, `"hint":"not bound: add {exchange: sms`},
	} {
		code, out, errs := callWith(t, register, nil, "routes", "--app-id=shop", "--exchanges=user", "--queue=orders", "--binds=user", "-o", format)
		if code != ExitOK {
			t.Errorf("%s: exit code %d\n%s", format, code, errs)
		}
		wantText(t, out, want...)
	}
}

func TestRoutesShowsTheBindingsOfEachRoute(t *testing.T) {
	register := func(s *service.Service) error {
		s.Router.HandleFunc("user", "event.*", func(context.Context, *parley.Delivery) error { return nil })
		s.Router.HandleFunc("user", "other", func(context.Context, *parley.Delivery) error { return nil })
		return nil
	}
	code, out, errs := callWith(t, register, nil, "routes", "--queue=q", "--binds=user:event.#,audit")
	if code != ExitOK {
		t.Fatal(code, errs)
	}
	wantText(t, out, "event.*", "user:event.#", "routes_test.go:", `not bound: add {exchange: user, routing_key: "other"} to binds`)
}

func TestRoutesShowsTheQueueOfEachHandler(t *testing.T) {
	register := func(s *service.Service) error {
		s.Queue("mail").Router.HandleFunc("mail", "", func(context.Context, *parley.Delivery) error { return nil })
		return unboundHandler(s)
	}
	code, out, errs := callWith(t, register, nil, "routes", `--queues={orders: {binds: [other]}, mail: {binds: auto}}`)
	if code != ExitOK {
		t.Fatal(code, errs)
	}
	wantText(t, out, "QUEUE", "orders  user", `not bound: add {exchange: user, routing_key: "renamed"} to queues.orders.binds`, "mail    mail", "mail:#")
}
