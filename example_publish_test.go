package parley_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type account struct {
	ID        int64  `json:"id"`
	FirstName string `json:"first_name"`
}

var (
	accountRenamed = parley.NewEvent[account]("account", "renamed")
	accountClosed  = parley.NewEvent[account]("account", "closed")
)

// An event is sent if its transaction commits, and never if it rolls back.
func ExamplePublish() {
	ctx := context.Background()
	store := memory.NewStore()
	outbox, err := parley.NewOutbox(store, &parley.OutboxConfig{AppID: "accounts"})
	if err != nil {
		panic(err)
	}
	rename := func(a account, result error) error {
		return store.InTx(ctx, func(tx *memory.Tx) error {
			// Change the account's row with tx here. Publish last.
			_, err := parley.Publish(ctx, outbox.In(tx), accountRenamed, a)
			return errors.Join(err, result)
		})
	}
	fmt.Println("first:", rename(account{1, "Ada"}, nil))
	fmt.Println("second:", rename(account{2, "Bob"}, errors.New("the name is taken")))
	for _, r := range store.Pending() {
		fmt.Println("waits for the relay:", r.ID, r.Exchange, r.RoutingKey)
	}
	// Output:
	// first: <nil>
	// second: the name is taken
	// waits for the relay: 1 account renamed
}

// PublishAll records many events of one type with one statement.
func ExamplePublishAll() {
	ctx := context.Background()
	store := memory.NewStore()
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	err = store.InTx(ctx, func(tx *memory.Tx) error {
		ids, err := parley.PublishAll(ctx, outbox.In(tx), accountRenamed, []account{{1, "Ada"}, {2, "Bob"}, {3, "Eve"}})
		fmt.Println(ids, err)
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output: [1 2 3] <nil>
}

// Record takes records of several types in one statement.
func ExampleTxOutbox_Record() {
	ctx := context.Background()
	store := memory.NewStore()
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	err = store.InTx(ctx, func(tx *memory.Tx) error {
		renamed, err1 := accountRenamed.Record(account{1, "Ada"})
		closed, err2 := accountClosed.Record(account{2, "Bob"}, parley.WithKey("2"))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		ids, err := outbox.In(tx).Record(ctx, renamed, closed)
		fmt.Println(ids, err)
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output: [1 2] <nil>
}

// Invalid input is rejected before anything is written; the transaction is still usable.
func ExampleInvalidError() {
	ctx := context.Background()
	store := memory.NewStore()
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	unusable := parley.NewEvent[map[string]any]("account", "renamed")
	err = store.InTx(ctx, func(tx *memory.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), unusable, map[string]any{"callback": func() {}})
		fmt.Println(errors.Is(err, parley.ErrInvalid))
		_, err = parley.Publish(ctx, outbox.In(tx), accountRenamed, account{1, "Ada"})
		return err
	})
	fmt.Println(err, len(store.Pending()))
	// Output:
	// true
	// <nil> 1
}

// Drain moves the due records and returns: for tests, and for periodic jobs. A
// service runs Relay.Run instead.
func ExampleRelay_Drain() {
	ctx := context.Background()
	store, broker := memory.NewStore(), memory.NewBroker(nil)
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	err = store.InTx(ctx, func(tx *memory.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), accountRenamed, account{1, "Ada"})
		return err
	})
	if err != nil {
		panic(err)
	}
	relay, err := parley.NewRelay(store, broker, nil)
	if err != nil {
		panic(err)
	}
	err = broker.Declare(ctx, parley.Topology{
		Exchanges: []parley.Exchange{{Name: "account"}},
		Queues:    []parley.Queue{{Name: "mail"}},
		Bindings:  []parley.Binding{{Queue: "mail", Exchange: "account", RoutingKey: "renamed"}},
	})
	if err != nil {
		panic(err)
	}
	n, err := relay.Drain(ctx)
	fmt.Println("moved:", n, err)
	fmt.Println("in the queue:", len(broker.Messages("mail")))
	// Output:
	// moved: 1 <nil>
	// in the queue: 1
}
