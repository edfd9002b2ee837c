package command

import (
	"context"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

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
	wantText(t, out, "event.*", "user:event.#", "run_test.go:", `not bound: add {exchange: user, routing_key: "other"} to binds`)
}

func TestAServiceWithNothingToRunIsAnError(t *testing.T) {
	code, _, errs := callWith(t, func(*service.Service) error { return nil }, nil, "run", "--broker-url=memory:")
	if code != ExitUsage {
		t.Errorf("exit code %d, want %d", code, ExitUsage)
	}
	wantText(t, errs, "no handler is registered", "database.url: is missing")
}

// unboundHandler registers a handler for user/renamed.
func unboundHandler(s *service.Service) error {
	s.Router.HandleFunc("user", "renamed", func(context.Context, *parley.Delivery) error { return nil })
	return nil
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
