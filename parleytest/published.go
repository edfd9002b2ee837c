package parleytest

import (
	"context"
	"testing"

	"github.com/parley-go/parley"
)

// A Log lists published messages. A *memory.Store lists those that are committed and not yet
// sent by a relay; a *memory.Broker lists those that reached the broker.
type Log interface {
	Published() []parley.Message
}

// Published returns the events of one type in a log, in order. It fails the test
// if one of them cannot be decoded as a consumer would decode it.
//
//	got := parleytest.Published(t, store, UserRenamed)
//	if len(got) != 1 || got[0].Payload.Name != "Ada" {
func Published[T any](t testing.TB, from Log, e *parley.EventType[T]) []parley.Event[T] {
	t.Helper()
	var messages []parley.Message
	for _, m := range from.Published() {
		if m.Exchange == e.Exchange() && m.RoutingKey == e.RoutingKey() {
			messages = append(messages, m)
		}
	}
	if len(messages) == 0 {
		return nil
	}
	var events []parley.Event[T]
	r := parley.NewRouter()
	parley.On(r, e, func(_ context.Context, event parley.Event[T]) error {
		events = append(events, event)
		return nil
	})
	for i, m := range messages {
		err := Deliver(t, r, m)
		if err != nil {
			t.Fatalf("decode published event %q %q with the body %.200s: %v", e.Exchange(), e.RoutingKey(), messages[i].Body, err)
		}
	}
	return events
}
