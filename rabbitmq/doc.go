// Package rabbitmq connects parley to RabbitMQ (AMQP 0-9-1).
//
//	broker, err := rabbitmq.New(&rabbitmq.Config{URL: "amqp://guest:guest@localhost:5672/"})
//	defer broker.Close(ctx)
//
// A [Broker] keeps one connection for publishing and one for consuming. It opens them on
// first use and reconnects indefinitely after they are lost. It never uses the
// client library's own recovery: a delivery belongs to the session that received it, and is
// settled there or not at all.
package rabbitmq
