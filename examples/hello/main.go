// Command hello publishes an event in a transaction, relays it to a broker and receives it,
// all within this process.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type User struct{ Name string }

var Renamed = parley.NewEvent[User]("user", "renamed") // exchange and routing key

func main() {
	ctx, stop := context.WithCancel(context.Background())
	store, broker, router := memory.NewStore(), memory.NewBroker(nil), parley.NewRouter()
	outbox := must(parley.NewOutbox(store, nil))
	topology := parley.Topology{
		Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "mail"}},
		Bindings: []parley.Binding{{Queue: "mail", Exchange: "user"}},
	}
	must(0, broker.Declare(ctx, topology)) // before the first event: an event with no matching queue is dropped
	rename := func(name string, result error) error {
		return store.InTx(ctx, func(tx *memory.Tx) error { // change your own rows with tx, then publish
			_, err := parley.Publish(ctx, outbox.In(tx), Renamed, User{name})
			return errors.Join(err, result)
		})
	}
	fmt.Println("Bob:", rename("Bob", errors.New("the name is taken"))) // rolls back
	fmt.Println("Ada:", rename("Ada", nil))                             // commits

	parley.On(router, Renamed, func(_ context.Context, e parley.Event[User]) error {
		fmt.Printf("received event %d: %s\n", e.ID, e.Payload.Name)
		stop() // one event is enough: relay and consumer shut down
		return nil
	})
	relay := must(parley.NewRelay(store, broker, nil))
	consumer := must(parley.NewConsumer(broker, router, &parley.ConsumerConfig{Queue: "mail", Topology: topology}))
	must(0, parley.Run(ctx, relay, consumer))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
