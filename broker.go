package parley

import "context"

// A Publisher sends messages to a broker and reports the outcome of each one. Drivers
// implement it; the relay, the consumer's retries and Send use it.
type Publisher interface {
	// Ready blocks until messages can be published: the connection is open and not
	// blocked by the broker. It returns ctx's error when ctx ends first.
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
	// Prefetch bounds the unacked deliveries. Required, 1 to 65535.
	Prefetch int
	// First, if positive and less than Prefetch, is the prefetch at the start of the subscription. It is in force until First
	// deliveries have been settled and First deliveries in a row were not redeliveries. A process that crashes soon after its
	// start then has few unacked deliveries whose delivery count increases: quorum queues drop a message that was delivered
	// too often. Drivers may ignore it.
	First int
	// SharedQueue reports whether the queue is known not to have x-single-active-consumer. If false, other consumers may
	// get no messages while deliveries of this one are unacked.
	SharedQueue bool
	// Tag names the subscription on the broker. Default: chosen by the driver.
	Tag string
}

// A Subscription receives the deliveries of one queue on one broker session.
type Subscription interface {
	// Next returns the next delivery. It returns ctx's error when ctx ends and an
	// error that wraps ErrSubscriptionLost when the session, the channel or the
	// broker's side of the subscription has ended. Not for concurrent use.
	Next(ctx context.Context) (*Delivery, error)
	// Close ends the subscription. All settlements made before Close reach the
	// broker first; unsettled deliveries return to the queue.
	Close() error
}

// A PrefetchRaiser is a [Subscription] whose prefetch can be raised while it runs. A consumer raises it when deliveries that it
// holds for the order of their keys use up the prefetch, so that other keys continue. Subscriptions need not implement it.
type PrefetchRaiser interface {
	// RaisePrefetch allows as many unacked deliveries in addition to those in hand as the prefetch in force, and returns that
	// number. It returns 0 if the prefetch cannot be raised. The broker may take a moment to follow.
	RaisePrefetch() int
}

// A Broker is a connection to a message broker: package rabbitmq for RabbitMQ,
// package memory for one process.
type Broker interface {
	Publisher
	Subscriber
	Declarer
}
