package parley

import (
	"errors"
	"testing"
)

func TestAnOrderingKeyIsThatOfTheRoutesFunction(t *testing.T) {
	j := &job{d: &Delivery{Message: Message{RoutingKey: "k"}}, route: &Route{}}
	if err := j.findKey(); err != nil || j.key != "" {
		t.Errorf("a route without order: key %q, %v", j.key, err)
	}
	j.route.options.key = func(d *Delivery) string { return d.RoutingKey }
	if err := j.findKey(); err != nil || j.key != "k" {
		t.Errorf("key %q, %v, want k", j.key, err)
	}
	j.route.options.key = func(*Delivery) string { panic("poison") }
	if p, ok := errors.AsType[*PanicError](j.findKey()); !ok || p.Value != "poison" || len(p.Stack) == 0 {
		t.Errorf("a key function that panics: %+v, want a PanicError with its value and stack", p)
	}
}
