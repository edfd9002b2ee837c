package parley_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

type textMessage struct {
	Phone string `json:"phone"`
	Text  string `json:"text"`
}

var sendText = parley.NewCommand[textMessage]("texts", "send")

// Send returns nil when a queue has taken the command. Without a bound queue it returns an error.
func ExampleSend() {
	ctx := context.Background()
	broker := memory.NewBroker(nil)
	command := textMessage{"998990000000", "Hello world!"}
	err := parley.Send(ctx, broker, sendText, command, parley.WithExpiresIn(time.Minute))
	fmt.Println("before the service was there:", errors.Is(err, parley.ErrUnroutable))

	err = broker.Declare(ctx, parley.Topology{
		Exchanges: []parley.Exchange{{Name: "texts"}},
		Queues:    []parley.Queue{{Name: "texts"}},
		Bindings:  []parley.Binding{{Queue: "texts", Exchange: "texts"}},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("now:", parley.Send(ctx, broker, sendText, command, parley.WithExpiresIn(time.Minute)))
	// Output:
	// before the service was there: true
	// now: <nil>
}

// SendTx sends a command if its transaction commits, and never if it rolls back.
func ExampleSendTx() {
	ctx := context.Background()
	store := memory.NewStore()
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	err = store.InTx(ctx, func(tx *memory.Tx) error {
		_, err := parley.SendTx(ctx, outbox.In(tx), sendText, textMessage{"998990000000", "Hello world!"})
		return err
	})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", store.Published()[0].Body)
	// Output: {"phone":"998990000000","text":"Hello world!", "meta": {}}
}

func ExampleOnCommand() {
	r := parley.NewRouter()
	parley.OnCommand(r, sendText, func(_ context.Context, c parley.Command[textMessage]) error {
		fmt.Printf("%s %s to %s\n", c.Name, c.Args.Text, c.Args.Phone)
		return nil
	})
	rec, err := sendText.Record(textMessage{"998990000000", "Hello"})
	if err != nil {
		panic(err)
	}
	d, _ := parleytest.NewDelivery(rec.Message)
	fmt.Println(r.Dispatch(context.Background(), d))
	// Output:
	// send Hello to 998990000000
	// <nil>
}
