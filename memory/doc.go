// Package memory is a message broker, an outbox store and a table of failed deliveries within one process. Examples
// and tests run on it without a server. It has the semantics of RabbitMQ that parley uses. These are topic, direct,
// fanout and headers exchanges, the default exchange, bindings, prefetch, acks, returns of unroutable messages,
// queue TTL and dead-lettering. Nothing survives the process.
//
//	broker := memory.NewBroker(nil)
//	store := memory.NewStore()
//	outbox, _ := parley.NewOutbox(store, nil)
//	relay, _ := parley.NewRelay(store, broker, nil)
//
// Both work inside testing/synctest bubbles.
package memory
