// Package parley connects services over RabbitMQ: events that are published with a database
// transaction (transactional outbox), scheduled events, commands and calls. It speaks the wire
// format of the Python library django-microservices-communication (docs/wire.md), so Go and
// Python services work together.
//
// # Index for users
//
//   - Contracts, as package variables that both sides share: [NewEvent], [NewCommand], [NewCall].
//   - Publishing in a transaction: [Outbox], [Publish]; scheduled with [WithDueAt], changed with
//     [Cancel] and [Reschedule]; ordered by key with [WithKey].
//   - Commands: [SendTx] in a transaction, [Send] at once; handled by [OnCommand].
//   - Calls: [Ask] in a transaction, its reply handled by [OnReply]; [Await] with a [Caller]
//     waits for the reply in place. [OnCall] answers both, [Fail] with a failure.
//   - Routes: a [Router], with [On] for events and [OnTx] for an exactly-once effect through an
//     [Inbox]; [Ordered] handles messages of one key one after another within one process.
//   - Consumer: [NewConsumer] with a [ConsumerConfig] acks, retries with backoff ([RetryPolicy]) and
//     parks poison messages in a dead-letter queue or, with [FailureStore], in a table.
//   - Errors to return from a handler: nil acks; any error is retried; [RetryAfter], [Park] and
//     [Ignore] choose otherwise. Errors to check: [ErrInvalid], [ErrUnroutable], [ErrUnknown].
//   - Relay: [NewRelay] with a [RelayConfig] moves committed records to the broker.
//   - Process: [Run] runs relays, consumers and other [Runner] values, with graceful shutdown.
//   - Tests: package memory replaces servers, package parleytest delivers single messages.
//
// Packages postgres, mysql and sqlite are the databases, rabbitmq is the broker. Package service
// builds all parts from one settings file.
//
// # Index for authors of drivers
//
// A store implements [OutboxStore] and [RelaySource], whose claims are a [Batch] (source.go), and
// [InboxStore]. Optional are [RelayWaker], [RelaySleeper], [AheadBatch], [DueBatch], [BlockerInspector],
// [OutboxInspector] and [ParkedStore]. Optional for status commands and consoles are
// [OutboxSummarizer], [DueLister] and [LeaderInspector] (summary.go). A table of failed deliveries
// implements [FailureStore], [FailureTx] and [FailureOperator] (failures.go). Optional is
// [FailureGrouper] (consumer_fingerprint.go). Also optional are the action log, [ActionLog] and
// [ScheduleLogger] (actions.go), and the pauses, [ControlStore] (pauses.go). A broker implements [Broker], that is [Publisher], [Subscriber]
// (broker.go) and [Declarer] (topology.go); its deliveries have an [Acknowledger] (message.go).
// Optional are [QueuePuller] (pull.go), [SecretKeeper] (retry_copy.go) and [Diagnoser]
// (finding.go), and for a subscription [PrefetchRaiser] (broker.go). Package parleytest has the
// suites that every driver passes, and docs/extending.md the steps.
//
// # Guarantees
//
// A message is sent if and only if its transaction commits, and at least once. A crash at any point
// loses nothing. It repeats at most one batch of the relay, with the same message ids. In the
// default mode committed records leave in the order of their ids, however many relays run. A
// scheduled message is not sent before its time by the database's clock, and a message that Cancel
// counted is never sent.
//
// A delivery is acked after its handler returned nil, or after its failed copy is safe: a committed row of
// the failure store, or a copy that the broker has confirmed. Expired, duplicate and ignored messages are
// acked too. A message that no handler matches is acked and dropped, with one warning for each exchange
// and routing key, unless ConsumerConfig.Unhandled is [UnhandledPark].
//
// A handler registered with [OnTx] has its effect once for each message that has an identity, within the
// inbox's retention. Commands of the Python library have no identity.
//
// Delivery is at least once: a handler without an inbox may see a message twice.
// docs/guarantees.md has every guarantee with its conditions and its test.
//
// # A complete program
//
// This one needs no server; examples/quickstart does the same on PostgreSQL and RabbitMQ.
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
//		must(0, broker.Declare(ctx, topology)) // before the first event: an event with no matching queue is dropped
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
//			stop() // one event is enough: relay and consumer shut down
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
package parley
