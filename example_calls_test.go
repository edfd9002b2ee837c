package parley_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type priceRequest struct{ Item string }

type priceReply struct{ Cents int }

var askPrice = parley.NewCall[priceRequest, priceReply]("prices", "price")

// prices is the service that answers: it runs until ctx ends.
func prices(ctx context.Context, broker parley.Broker) error {
	store, r := memory.NewStore(), parley.NewRouter()
	outbox, err1 := parley.NewOutbox(store, nil)
	inbox, err2 := parley.NewInbox(store, &parley.InboxConfig{Consumer: "prices"})
	relay, err3 := parley.NewRelay(store, broker, nil)
	parley.OnCall(r, inbox, outbox, askPrice, func(_ context.Context, _ *memory.Tx, c parley.Call[priceRequest]) (priceReply, error) {
		if c.Data.Item != "apple" {
			return priceReply{}, parley.Fail("unknown_item", "there is no "+c.Data.Item)
		}
		return priceReply{30}, nil // committed together with what the handler wrote
	})
	consumer, err4 := parley.NewConsumer(broker, r, &parley.ConsumerConfig{Queue: "prices", Topology: pricesTopology()})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	return parley.Run(ctx, relay, consumer)
}

func pricesTopology() parley.Topology {
	return parley.Topology{
		Exchanges: []parley.Exchange{{Name: "prices"}},
		Queues:    []parley.Queue{{Name: "prices"}},
		Bindings:  []parley.Binding{{Queue: "prices", Exchange: "prices"}},
	}
}

// Await waits for the reply in place.
func ExampleAwait() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	broker := memory.NewBroker(nil)
	if err := broker.Declare(ctx, pricesTopology()); err != nil {
		panic(err)
	}
	caller, err := parley.NewCaller(broker, &parley.CallerConfig{Name: "shop.replies.0"})
	if err != nil {
		panic(err)
	}
	shop := parley.RunnerFunc(func(ctx context.Context) error {
		reply, err := parley.Await(ctx, caller, askPrice, priceRequest{"apple"})
		fmt.Println(reply.Cents, err)
		_, err = parley.Await(ctx, caller, askPrice, priceRequest{"pear"})
		if failure, ok := errors.AsType[*parley.CallError](err); ok {
			fmt.Println(failure.Code)
		}
		return nil // when it returns, the others stop
	})
	pricing := parley.RunnerFunc(func(ctx context.Context) error { return prices(ctx, broker) })
	if err := parley.Run(ctx, pricing, caller, shop); err != nil {
		panic(err)
	}
	// Output:
	// 30 <nil>
	// unknown_item
}

// Ask makes the call with the caller's transaction; the reply comes to a handler.
func ExampleAsk() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	broker, store, r := memory.NewBroker(nil), memory.NewStore(), parley.NewRouter()
	shopTopology := parley.Topology{
		Exchanges: []parley.Exchange{{Name: "shop"}},
		Queues:    []parley.Queue{{Name: "shop"}},
		Bindings:  []parley.Binding{{Queue: "shop", Exchange: "shop"}},
	}
	if err := errors.Join(broker.Declare(ctx, pricesTopology()), broker.Declare(ctx, shopTopology)); err != nil {
		panic(err)
	}
	outbox, err1 := parley.NewOutbox(store, nil)
	relay, err2 := parley.NewRelay(store, broker, nil)
	parley.OnReply(r, askPrice, func(_ context.Context, reply parley.Reply[priceReply]) error {
		fmt.Printf("reply to call %d of %s.%s: %d cents\n", reply.ID, reply.Service, reply.Method, reply.Data.Cents)
		cancel()
		return nil
	})
	consumer, err3 := parley.NewConsumer(broker, r, &parley.ConsumerConfig{Queue: "shop", Topology: shopTopology})
	err4 := store.InTx(ctx, func(tx *memory.Tx) error {
		id, err := parley.Ask(ctx, outbox.In(tx), askPrice, priceRequest{"apple"}, parley.WithReplyTo("shop"))
		fmt.Println("asked:", id)
		return err
	})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		panic(err)
	}
	pricing := parley.RunnerFunc(func(ctx context.Context) error { return prices(ctx, broker) })
	if err := parley.Run(ctx, relay, consumer, pricing); err != nil {
		panic(err)
	}
	// Output:
	// asked: 1
	// reply to call 1 of prices.price: 30 cents
}
