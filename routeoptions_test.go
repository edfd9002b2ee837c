package parley

import (
	"strings"
	"testing"
	"time"
)

func TestAnOrderedRouteHasNoLongerRetriesThanADeliveryMayStayUnacked(t *testing.T) {
	policy := func(total time.Duration) RetryPolicy {
		return RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{total}}
	}
	for _, c := range []struct {
		name    string
		options []RouteOption
		wrong   bool
	}{
		{"at the limit", []RouteOption{Ordered(nil), Retry(policy(orderedLimit))}, false},
		{"above the limit", []RouteOption{Ordered(nil), Retry(policy(orderedLimit + time.Second))}, true},
		{"not ordered", []RouteOption{Retry(policy(orderedLimit + time.Second))}, false},
	} {
		var o routeOptions
		for _, option := range c.options {
			option(&o)
		}
		if err := o.check(); (err != nil) != c.wrong || err != nil && !strings.Contains(err.Error(), "ordered route") {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestOrderedWithoutAFunctionTakesThePublishersKey(t *testing.T) {
	d := &Delivery{Message: Message{Exchange: "user", RoutingKey: "k"}}
	var o routeOptions
	Ordered(nil)(&o)
	if got := o.key(d); got != d.Key() {
		t.Errorf("the key is %q, want %q", got, d.Key())
	}
	Ordered(func(d *Delivery) string { return d.RoutingKey })(&o)
	if got := o.key(d); got != "k" {
		t.Errorf("the key is %q, want that of the function", got)
	}
}
