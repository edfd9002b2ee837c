package service

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// An Unbound is a handler that gets no messages, because no binding of its queue can route one to it.
type Unbound struct {
	// Queue is the queue of the handler.
	Queue string
	parley.Route
	// Setting is the setting to change: binds, or queues.<name>.binds. Line is the item to add to it, in YAML.
	Setting, Line string
}

// Hint says what to add to the settings.
func (u *Unbound) Hint() string { return fmt.Sprintf("add %s to %s", u.Line, u.Setting) }

// Unbound returns the handlers of this process that no binding of the settings can route messages to. Bindings that others make on the
// broker are unknown to it.
func (s *Service) Unbound() []Unbound {
	var out []Unbound
	for _, q := range s.Queues() {
		if s.Settings.Topology != "declare" && len(q.settings.Binds) == 0 {
			continue // others bind this queue
		}
		for _, r := range q.Router.Routes() {
			if len(q.FedBy(&r)) > 0 || r.Exchange == "" { // the default exchange routes to every queue
				continue
			}
			u := Unbound{Queue: q.Name, Route: r, Setting: "binds", Line: fmt.Sprintf("{exchange: %s, routing_key: %q}", r.Exchange, cmp.Or(r.Pattern, "#"))}
			if r.Exchange == parley.AnyExchange {
				u.Line = fmt.Sprintf("{exchange: NAME, routing_key: %q}", cmp.Or(r.Pattern, "#"))
			}
			if len(s.Settings.Queues) > 0 {
				u.Setting = "queues." + q.Name + ".binds"
			}
			out = append(out, u)
		}
	}
	return out
}

// FedBy returns the bindings of the queue that can route messages to a route of its router.
func (q *Queue) FedBy(r *parley.Route) []parley.Binding {
	var out []parley.Binding
	for _, b := range q.Topology().Bindings {
		if (r.Exchange == parley.AnyExchange || b.Exchange == r.Exchange) && q.service.reaches(&b, r) {
			out = append(out, b)
		}
	}
	return out
}

// reaches reports whether a message can pass the binding with a routing key of the route.
func (s *Service) reaches(b *parley.Binding, r *parley.Route) bool {
	kind := "topic"
	if i := slices.IndexFunc(s.Settings.Exchanges, func(e settings.Exchange) bool { return e.Name == b.Exchange }); i >= 0 {
		kind = cmp.Or(s.Settings.Exchanges[i].Type, kind)
	}
	if kind == "fanout" || kind == "headers" {
		return true // they ignore the routing key
	}
	return overlap(cmp.Or(b.RoutingKey, "#"), cmp.Or(r.Pattern, "#"))
}

// warnUnbound logs the handlers that get no messages.
func (s *Service) warnUnbound() {
	for _, u := range s.Unbound() {
		s.Logger.Warn("service: handler gets no messages, no binding of its queue matches", "queue", u.Queue, "exchange", u.Exchange,
			"routing_key", cmp.Or(u.Pattern, "#"), "handler", u.Place, "hint", u.Hint())
	}
}
