package parley

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// A delivery whose retries wait in the process stays unacked meanwhile.
func TestAnOrderedRouteHasNoLongerRetriesThanADeliveryMayStayUnacked(t *testing.T) {
	over := RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{unackedLimit, time.Second}}
	limit := RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{unackedLimit}}
	for _, c := range []struct {
		name     string
		options  []RouteOption
		consumer RetryPolicy
		store    FailureStore
		wrong    bool
	}{
		{name: "at the limit", options: []RouteOption{Ordered(nil), Retry(limit)}},
		{name: "over the limit", options: []RouteOption{Ordered(nil), Retry(over)}, wrong: true},
		{name: "over the limit of the consumer", options: []RouteOption{Ordered(nil)}, consumer: over, wrong: true},
		{name: "not ordered", options: []RouteOption{Retry(over)}, consumer: over},
		{name: "with a failure store", options: []RouteOption{Ordered(nil), Retry(over)}, store: struct{ FailureStore }{}},
		{name: "of the consumer, with a failure store", options: []RouteOption{Ordered(nil)}, consumer: over, store: struct{ FailureStore }{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRouter()
			r.HandleFunc("user", "k", func(context.Context, *Delivery) error { return nil }, c.options...)
			_, err := NewConsumer(nil, r, &ConsumerConfig{Queue: "q", Retry: c.consumer, Failures: c.store, Secrets: [][]byte{make([]byte, 16)}})
			if (err != nil) != c.wrong {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{`route "user" "k"`, "20m1s", "20m0s", "failure store"} {
				if c.wrong && !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not name %s", err, want)
				}
			}
		})
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

func TestImmediateRetriesTakeAtMostTwentyMinutesTogether(t *testing.T) {
	for n, ok := range map[int]bool{20: true, 21: false, 1000: false} {
		p := RetryPolicy{Immediate: slices.Repeat([]time.Duration{time.Minute}, n)}
		if err := p.check(); ok && err != nil || !ok && (err == nil || !strings.Contains(err.Error(), "20m0s together")) {
			t.Errorf("%d immediate retries after a minute each: %v", n, err)
		}
	}
}
