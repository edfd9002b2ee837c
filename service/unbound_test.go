package service

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// file returns the name of a settings file.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// register adds a handler for each exchange and key.
func register(r *parley.Router, routes ...[2]string) {
	for _, route := range routes {
		r.HandleFunc(route[0], route[1], func(context.Context, *parley.Delivery) error { return nil })
	}
}

func TestAHandlerThatNoBindingFeedsIsWarnedOfAtStart(t *testing.T) {
	var log syncBuffer
	s := open(t, &settings.Settings{
		Broker: settings.Broker{URL: "memory:"}, Queue: "q", Exchanges: []settings.Exchange{{Name: "user"}, {Name: "all", Type: "fanout"}},
		Binds: []settings.Bind{{Exchange: "user", RoutingKey: "event.#"}, {Exchange: "all", RoutingKey: "x"}},
	}, &Config{LogOutput: &log})
	register(s.Router, [2]string{"user", "event.*"}, [2]string{"user", "renamed"}, [2]string{"all", "any.key"}, [2]string{"order", ""})
	if _, _, err := s.runners(PartConsumer); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	if n := strings.Count(text, "handler gets no messages"); n != 2 {
		t.Errorf("%d warnings, want 2: %s", n, text)
	}
	for _, want := range []string{`routing_key=renamed`, `add {exchange: user, routing_key: \"renamed\"} to binds`, `add {exchange: order, routing_key: \"#\"} to binds`, "unbound_test.go:"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s: %s", want, text)
		}
	}
}

func TestTheLineToAddToBindsFeedsTheHandler(t *testing.T) {
	const doc = "broker: {url: 'memory:'}\nexchanges: [user]\nqueues:\n  orders:\n    binds:\n      - [user, other]\n"
	unbound := func(doc string) []Unbound {
		s, err := settings.Load(&settings.LoadOptions{File: file(t, doc), Environ: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		opened := open(t, s, nil)
		register(opened.Router, [2]string{"user", "renamed"})
		return opened.Unbound()
	}
	before := unbound(doc)
	if len(before) != 1 || before[0].Setting != "queues.orders.binds" || before[0].Queue != "orders" {
		t.Fatalf("unbound %+v, want the handler of queue orders", before)
	}
	if after := unbound(doc + "      - " + before[0].Line + "\n"); len(after) != 0 {
		t.Errorf("with the line %s it is still unbound: %+v", before[0].Line, after)
	}
}

func TestBindsAutoBindsWhatTheRouterHandles(t *testing.T) {
	s := open(t, &settings.Settings{
		Broker: settings.Broker{URL: "memory:"}, Queue: "q", Exchanges: []settings.Exchange{{Name: "user"}, {Name: "order"}}, Binds: []settings.Bind{settings.AutoBind},
	}, nil)
	register(s.Router, [2]string{"user", "renamed"}, [2]string{"order", "paid.*"}, [2]string{parley.AnyExchange, "reply"})
	var got []string
	for _, b := range s.Topology().Bindings {
		got = append(got, b.Queue+" "+b.Exchange+" "+b.RoutingKey)
	}
	if text := strings.Join(got, ", "); len(got) != 2 || !strings.Contains(text, "q user renamed") || !strings.Contains(text, "q order paid.*") {
		t.Errorf("bindings %s", text)
	}
	for _, r := range s.Router.Routes() {
		if fed := s.Queue("q").FedBy(&r); (len(fed) == 1) != (r.Exchange != parley.AnyExchange) {
			t.Errorf("the route of exchange %s is fed by %+v", r.Exchange, fed)
		}
	}
	if unbound := s.Unbound(); len(unbound) != 1 || unbound[0].Exchange != parley.AnyExchange {
		t.Errorf("unbound %+v, want only the handler for any exchange", unbound)
	}
}
