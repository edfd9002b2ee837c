package parley_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

// Dispatch runs one message through a router, so a test of handlers needs no broker. In a
// test, parleytest.NewEventMessage and parleytest.Deliver are shorter.
func ExampleRouter_Dispatch() {
	r := parley.NewRouter()
	parley.On(r, accountRenamed, func(_ context.Context, e parley.Event[account]) error {
		if e.Payload.FirstName == "" {
			return parley.Park(errors.New("a user without a name"))
		}
		return nil
	})
	for _, body := range []string{
		`{"eventId": 1, "payload": {"id": 1, "firstName": "Ada"}}`,
		`{"eventId": 2, "payload": {"id": 2}}`,
		`{"eventId": 3, "payload": `,
	} {
		d, _ := parleytest.NewDelivery(parley.Message{Exchange: "account", RoutingKey: "renamed", Body: []byte(body)})
		err := r.Dispatch(context.Background(), d)
		_, malformed := errors.AsType[*parley.MalformedError](err) // a consumer parks it at once
		fmt.Println("acknowledged:", err == nil, "malformed:", malformed)
	}
	// Output:
	// acknowledged: true malformed: false
	// acknowledged: false malformed: false
	// acknowledged: false malformed: true
}

// The in-memory store shows what a transaction has published.
func Example_published() {
	ctx := context.Background()
	store := memory.NewStore()
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	err = store.InTx(ctx, func(tx *memory.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), accountRenamed, account{1, "Ada"}, parley.WithKey("1"))
		return err
	})
	if err != nil {
		panic(err)
	}
	for _, m := range store.Published() { // in a test: parleytest.Published(t, store, accountRenamed)
		fmt.Println(m.Exchange, m.RoutingKey, m.Key(), m.Kind)
	}
	// Output: account renamed 1 event
}
