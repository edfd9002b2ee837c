package rabbitmq_test

import (
	"context"
	"log"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

type order struct {
	Item string `json:"item"`
}

var orderPlaced = parley.NewEvent[order]("order", "placed")

// A consumer declares its exchange, queue and binding, and handles events until it is stopped. It reconnects by itself.
func Example() {
	broker, err := rabbitmq.New(&rabbitmq.Config{URL: "amqp://guest:guest@localhost"})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close(context.Background())
	router := parley.NewRouter()
	parley.On(router, orderPlaced, func(_ context.Context, e parley.Event[order]) error {
		log.Printf("placed: %s", e.Payload.Item)
		return nil
	})
	consumer, err := parley.NewConsumer(broker, router, &parley.ConsumerConfig{
		Queue: "stock",
		Topology: parley.Topology{
			Exchanges: []parley.Exchange{{Name: "order"}},
			Queues:    []parley.Queue{{Name: "stock"}},
			Bindings:  []parley.Binding{{Queue: "stock", Exchange: "order"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := parley.Run(context.Background(), consumer); err != nil { // until SIGINT or SIGTERM
		log.Fatal(err)
	}
}

// Without an outbox: the broker has confirmed the message when Publish returns.
func ExampleBroker_Publish() {
	broker, err := rabbitmq.New(&rabbitmq.Config{URL: "amqp://guest:guest@localhost"})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close(context.Background())
	errs := broker.Publish(context.Background(), []parley.Message{{Exchange: "order", RoutingKey: "placed", Body: []byte(`{"item":"tea"}`)}})
	if errs != nil && errs[0] != nil {
		log.Fatal(errs[0])
	}
}
