package service_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

type Order struct {
	Item string `json:"item"`
}

var Placed = parley.NewEvent[Order]("order", "placed")

// inMemory returns a service that needs no server.
func inMemory() *service.Service {
	s, err := service.Open(&settings.Settings{
		AppID: "shop", Queue: "shop", Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: "memory:"},
		Exchanges: []settings.Exchange{{Name: "order"}}, Binds: []settings.Bind{{Exchange: "order"}},
	}, &service.Config{LogOutput: io.Discard})
	if err != nil {
		log.Fatal(err)
	}
	return s
}

// An event is published in a transaction and reaches its handler.
func Example() {
	s := inMemory()
	defer s.Close(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	parley.On(s.Router, Placed, func(_ context.Context, e parley.Event[Order]) error {
		fmt.Println("placed:", e.Payload.Item)
		cancel()
		return nil
	})
	err := s.InTx(ctx, func(tx *service.Tx) error {
		_, err := parley.Publish(ctx, s.Outbox.In(tx), Placed, Order{Item: "tea"})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Run(ctx, service.PartRelay|service.PartConsumer); err != nil {
		log.Fatal(err)
	}
	// Output: placed: tea
}

// An added runner starts and stops together with relay and consumer.
func ExampleService_Add() {
	s := inMemory()
	defer s.Close(context.Background())
	s.Add("report", parley.RunnerFunc(func(context.Context) error {
		fmt.Println("runs beside the relay")
		return nil // ends the service
	}))
	if err := s.Run(context.Background(), service.PartRelay); err != nil {
		log.Fatal(err)
	}
	// Output: runs beside the relay
}

func ExampleService_HandleHTTP() {
	s := inMemory()
	defer s.Close(context.Background())
	s.HandleHTTP("GET /orders/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "order", r.PathValue("id"))
	}))
	defer func() { fmt.Println("a second handler for a pattern panics:", recover() != nil) }()
	s.HandleHTTP("GET /healthz", http.NotFoundHandler())
	// Output: a second handler for a pattern panics: true
}

func ExampleService_Caller() {
	type Question struct{ Item string }
	type Answer struct{ Cents int }
	price := parley.NewCall[Question, Answer]("order", "price")
	s := inMemory()
	defer s.Close(context.Background())
	parley.OnCall(s.Router, s.Inbox, s.Outbox, price, func(context.Context, *service.Tx, parley.Call[Question]) (Answer, error) {
		return Answer{250}, nil
	})
	caller, err := s.Caller("shop.replies.0")
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Apply(context.Background()); err != nil { // queue and bindings, before the call is sent
		log.Fatal(err)
	}
	s.Add("question", parley.RunnerFunc(func(ctx context.Context) error {
		answer, err := parley.Await(ctx, caller, price, Question{"tea"})
		fmt.Println(answer.Cents, err)
		return nil // ends the service
	}))
	if err := s.Run(context.Background(), service.PartRelay|service.PartConsumer); err != nil {
		log.Fatal(err)
	}
	// Output: 250 <nil>
}

// Pgx returns the PostgreSQL pool of the service.
func ExampleService_Pgx() {
	s := inMemory()
	defer s.Close(context.Background())
	if s.Pgx() == nil {
		fmt.Println("this service is not on PostgreSQL")
	}
	// Output: this service is not on PostgreSQL
}

// DB returns the MySQL, MariaDB or SQLite pool of the service.
func ExampleService_DB() {
	s, err := service.Open(&settings.Settings{Database: settings.Database{URL: "mysql://127.0.0.1/shop"}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close(context.Background())
	fmt.Println(s.DB() != nil)
	// Output: true
}

// A broker that the program hands in stays open when the service is closed.
func ExampleConfig() {
	broker := memory.NewBroker(nil)
	s, err := service.Open(&settings.Settings{AppID: "shop"}, &service.Config{Broker: broker})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(broker.Ready(context.Background()))
	// Output: <nil>
}

// Each queue of the settings has a router of its own. Router is that of the first one.
func ExampleService_Queue() {
	s, err := service.Open(&settings.Settings{
		Broker: settings.Broker{URL: "memory:"}, Exchanges: []settings.Exchange{{Name: "order"}},
		Queues: []settings.Queue{
			{Name: "orders", Binds: []settings.Bind{settings.AutoBind}, Concurrency: 32},
			{Name: "mail", Binds: []settings.Bind{settings.AutoBind}, Concurrency: 4},
		},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close(context.Background())
	s.Router.HandleFunc("order", "paid", func(context.Context, *parley.Delivery) error { return nil })
	s.Queue("mail").Router.HandleFunc("order", "sent", func(context.Context, *parley.Delivery) error { return nil })
	for _, b := range s.Topology().Bindings {
		fmt.Println(b.Queue, b.Exchange, b.RoutingKey)
	}
	// Output:
	// orders order paid
	// mail order sent
}
