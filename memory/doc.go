// Package memory is a message broker and an outbox store within one process: what
// parley runs on by default, and what users test with. It has the semantics of
// RabbitMQ as far as parley uses them: topic, direct, fanout and headers exchanges,
// the default exchange, bindings, prefetch, acknowledgements, returns of
// unroutable messages, queue TTL and dead-lettering. Nothing survives the process.
//
//	broker := memory.NewBroker(nil)
//	store := memory.NewStore()
//	outbox, _ := parley.NewOutbox(store, nil)
//	relay, _ := parley.NewRelay(store, broker, nil)
//
// Both work inside testing/synctest bubbles.
package memory
