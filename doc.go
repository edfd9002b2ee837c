// Package parley is for services that talk to each other over a message broker: events
// that are published with a database transaction, scheduled events, commands and calls.
// It speaks the wire format of the Python library django-microservices-communication
// (docs/wire.md), so services of both kinds work together.
//
// # The story
//
// A contract is a package variable that publisher and consumer share:
//
//	var UserRenamed = parley.NewEvent[User]("user", "update.base") // exchange, routing key
//	var SendSMS = parley.NewCommand[SMS]("sms", "")                // service, command
//	var Quote = parley.NewCall[QuoteRequest, QuoteReply]("pricing", "quote")
//
// A publisher records a message in an [Outbox]: a table of its own database, in the same
// transaction as the change that the message tells of.
//
//	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
//		if err := rename(ctx, tx, u); err != nil {
//			return err
//		}
//		_, err := parley.Publish(ctx, outbox.In(tx), UserRenamed, u)
//		return err
//	})
//
// A [Relay] moves what is committed to the broker, and deletes it when the broker has
// confirmed it. With [At] a message waits in the outbox until it is due; [Cancel] and
// [Reschedule] find it by its [Tags].
//
// A [Consumer] takes messages from a queue and hands them to the handlers of a [Router].
// A handler returns nil when the message is done with. An error has it tried again: a few
// times in the process, then from delay queues; in the end it is parked, with its history,
// for a person to look at. [RetryAfter], [Park] and [Ignore] choose otherwise.
//
//	r := parley.NewRouter()
//	parley.On(r, UserRenamed, func(ctx context.Context, e parley.Event[User]) error { ... })
//	parley.OnTx(r, inbox, UserRenamed, func(ctx context.Context, tx pgx.Tx, e parley.Event[User]) error { ... })
//
// [Send] gives a command to the broker at once, [SendTx] with a transaction. [Ask] makes a
// call with a transaction, and its reply comes to an [OnReply] handler; [Await] waits for
// the reply in place. [OnCall] answers both.
//
// Everything that runs is a [Runner]; [Run] runs several of them until a signal, and stops
// them in order.
//
// The database and the broker are packages of their own: postgres, mysql, sqlite, rabbitmq,
// and memory for both within one process. Package service makes all of it from one settings
// file. Package parleytest helps to test.
//
// # What you can rely on
//
// A message is sent if and only if its transaction commits. It is sent at least once: a
// crash at any point repeats at most one batch of the relay, with the same message ids, and
// loses nothing. In the default mode committed records leave in the order of their ids,
// however many relays run. A scheduled message is not sent before its time by the database's clock, and
// what Cancel counted is never sent.
//
// A delivery is acknowledged only after its handler returned nil, or after the broker has
// confirmed its copy in a delay or parked queue. A handler that is registered with [OnTx]
// has its effect in the database once for each message within the inbox's retention, if the
// message has an identity; commands of the Python library have none. With [Ordered],
// messages of one key are handled one after another within one process.
//
// Nobody promises delivery exactly once, and neither does parley: a handler without an
// inbox may see a message twice. docs/guarantees.md has every promise with its conditions
// and the test that shows it.
//
// # A complete program
//
// This one needs no server:
//
//	package main
//
//	import (
//		"context"
//		"errors"
//		"fmt"
//
//		"github.com/parley-go/parley"
//		"github.com/parley-go/parley/memory"
//	)
//
//	type User struct{ Name string }
//
//	var Renamed = parley.NewEvent[User]("user", "renamed") // exchange and routing key
//
//	func main() {
//		ctx, stop := context.WithCancel(context.Background())
//		store, broker, router := memory.NewStore(), memory.NewBroker(nil), parley.NewRouter()
//		outbox := must(parley.NewOutbox(store, nil))
//		topology := parley.Topology{
//			Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "mail"}},
//			Bindings: []parley.Binding{{Queue: "mail", Exchange: "user"}},
//		}
//		must(0, broker.Declare(ctx, topology)) // before the first event: what nobody is bound for is dropped
//		rename := func(name string, result error) error {
//			return store.InTx(ctx, func(tx *memory.Tx) error { // change your own rows with tx, then publish
//				_, err := parley.Publish(ctx, outbox.In(tx), Renamed, User{name})
//				return errors.Join(err, result)
//			})
//		}
//		fmt.Println("Bob:", rename("Bob", errors.New("the name is taken"))) // rolls back
//		fmt.Println("Ada:", rename("Ada", nil))                             // commits
//
//		parley.On(router, Renamed, func(_ context.Context, e parley.Event[User]) error {
//			fmt.Printf("received event %d: %s\n", e.ID, e.Payload.Name)
//			stop() // enough: the relay and the consumer end cleanly
//			return nil
//		})
//		relay := must(parley.NewRelay(store, broker, nil))
//		consumer := must(parley.NewConsumer(broker, router, &parley.ConsumerConfig{Queue: "mail", Topology: topology}))
//		must(0, parley.Run(ctx, relay, consumer))
//	}
//
//	func must[T any](v T, err error) T {
//		if err != nil {
//			panic(err)
//		}
//		return v
//	}
//
// examples/quickstart does the same on PostgreSQL and RabbitMQ.
package parley
