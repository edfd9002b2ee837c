package memory_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type renamed struct {
	Name string `json:"name"`
}

// One transaction commits and one rolls back; a relay moves what is left to the broker.
func Example() {
	ctx := context.Background()
	userRenamed := parley.NewEvent[renamed]("user", "renamed")
	store, broker := memory.NewStore(), memory.NewBroker(nil)
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	rename := func(name string, fails error) error {
		return store.InTx(ctx, func(tx *memory.Tx) error {
			_, err := parley.Publish(ctx, outbox.In(tx), userRenamed, renamed{name})
			return errors.Join(err, fails)
		})
	}
	fmt.Println("first:", rename("Ada", nil))
	fmt.Println("second:", rename("Bob", errors.New("name is taken")))

	relay, err := parley.NewRelay(store, broker, nil)
	if err != nil {
		panic(err)
	}
	if err := broker.Declare(ctx, parley.Topology{
		Exchanges: []parley.Exchange{{Name: "user"}},
		Queues:    []parley.Queue{{Name: "mail"}},
		Bindings:  []parley.Binding{{Queue: "mail", Exchange: "user"}},
	}); err != nil {
		panic(err)
	}
	n, err := relay.Drain(ctx)
	fmt.Println("moved:", n, err)
	for _, m := range broker.Messages("mail") {
		fmt.Println(m.Exchange, m.RoutingKey)
	}
	// Output:
	// first: <nil>
	// second: name is taken
	// moved: 1 <nil>
	// user renamed
}
