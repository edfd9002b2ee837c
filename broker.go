package parley

import "context"

// A Publisher sends messages to a broker and learns what became of each. Brokers
// of drivers implement it; the relay, the consumer's retries and Send use it.
type Publisher interface {
	// Ready blocks until messages can be published: the connection is open and the
	// broker has not blocked it. It returns ctx's error when ctx ends first.
	Ready(ctx context.Context) error
	// Publish sends the messages in their order, persistent and mandatory, pipelined
	// over one confirm channel, and returns when every one has an outcome or ctx
	// has ended. It returns nil when all were accepted and routed. Otherwise the
	// result has one entry per message: nil, *UnroutableError, ErrRejected,
	// *RefusedError or ErrUnknown, each possibly wrapped. It is safe for concurrent use.
	Publish(ctx context.Context, messages []Message) []error
}

// A Subscriber opens subscriptions to queues.
type Subscriber interface {
	// Subscribe starts consuming. It waits for the connection if there is none.
	Subscribe(ctx context.Context, queue string, o SubscribeOptions) (Subscription, error)
}

// SubscribeOptions are the choices for one subscription.
type SubscribeOptions struct {
	// Prefetch bounds the deliveries in hand that are not settled yet. Required, 1 to 65535.
	Prefetch int
	// Tag names the subscription on the broker. Default: made by the driver.
	Tag string
}

// A Subscription hands out deliveries of one queue on one broker session.
type Subscription interface {
	// Next returns the next delivery. It returns ctx's error when ctx ends and an
	// error that wraps ErrSubscriptionLost when the session, the channel or the
	// broker's side of the subscription has ended. Not for concurrent use.
	Next(ctx context.Context) (*Delivery, error)
	// Close ends the subscription. All settlements made before Close reach the
	// broker first; deliveries that are not settled go back to the queue.
	Close() error
}

// A Broker is a connection to a message broker: package rabbitmq for RabbitMQ,
// package memory for one process.
type Broker interface {
	Publisher
	Subscriber
	Declarer
}
