package parley

import (
	"context"
	"fmt"
	"time"
)

// ExchangeType is the type of an AMQP exchange.
type ExchangeType string

// The exchange types of AMQP 0-9-1. Topic is the default everywhere in parley.
const (
	ExchangeTopic   ExchangeType = "topic"
	ExchangeDirect  ExchangeType = "direct"
	ExchangeFanout  ExchangeType = "fanout"
	ExchangeHeaders ExchangeType = "headers"
)

// An Exchange to declare: durable, and without arguments unless configured otherwise, as the Python library does.
type Exchange struct {
	Name string
	// Type is the exchange type. Default: ExchangeTopic.
	Type ExchangeType
	// AutoDelete deletes the exchange with its last binding. It is only for reply exchanges
	// of one process.
	AutoDelete bool
	// Arguments are the exchange arguments, for example alternate-exchange. Leave them empty on an exchange that a Python service
	// declares too: they would conflict (406).
	Arguments map[string]any
}

// A Queue to declare: durable and without arguments unless configured otherwise, as the
// Python library does.
type Queue struct {
	Name string
	// Exclusive queues exist as long as the connection that declared them.
	Exclusive bool
	// TTL, if positive, is how long messages stay (x-message-ttl, in milliseconds on the wire).
	TTL time.Duration
	// DeadLetterTo, if set, is the queue that expired messages go to, through the
	// default exchange (x-dead-letter-exchange "", x-dead-letter-routing-key).
	DeadLetterTo string
	// Arguments are further queue arguments, for example x-queue-type. Leave them empty
	// on a queue that a Python service declares too: they would conflict (406).
	Arguments map[string]any
	// Role marks one of a consumer's own queues. The driver then makes it as safe as its broker can; Arguments
	// take precedence over the driver's choice.
	Role QueueRole
}

// A QueueRole is the purpose of one of a consumer's own queues.
type QueueRole int

// The roles of queues.
const (
	// QueuePlain is a queue without a role. The default.
	QueuePlain QueueRole = iota
	// QueueRetry keeps failed deliveries for TTL and then dead-letters them to DeadLetterTo. No message may be lost on the way,
	// whatever happens to the target queue meanwhile. On RabbitMQ 3.10 and later it is a quorum queue with dead-lettering
	// at-least-once and overflow reject-publish.
	QueueRetry
	// QueueParked keeps messages until an operator handles them. No message may be dropped, however often it is delivered. On
	// RabbitMQ 4.0 and later it is a quorum queue without a delivery limit.
	QueueParked
)

// A Binding routes messages from an exchange to a queue.
type Binding struct {
	Queue    string
	Exchange string
	// RoutingKey is the binding key; on a topic exchange * stands for one word and
	// # for any number. Empty means "#", as in the Python library.
	RoutingKey string
	// Arguments are for headers exchanges.
	Arguments map[string]any
}

// A TopologyMode says how a process treats exchanges, queues and bindings.
type TopologyMode int

const (
	// TopologyDeclare declares the configured topology. The default.
	TopologyDeclare TopologyMode = iota
	// TopologyVerify checks passively that exchanges and queues exist and declares nothing.
	// Bindings cannot be checked over AMQP.
	TopologyVerify
	// TopologyNone neither declares nor checks (DO_NOT_DECLARE in the Python library).
	TopologyNone
)

func (m TopologyMode) String() string {
	switch m {
	case TopologyDeclare:
		return "declare"
	case TopologyVerify:
		return "verify"
	case TopologyNone:
		return "none"
	}
	return fmt.Sprintf("TopologyMode(%d)", int(m))
}

// A Topology is the exchanges, queues and bindings that a process needs on the broker.
type Topology struct {
	Mode      TopologyMode
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []Binding
}

// A Declarer declares or checks a topology, on a channel of its own. If the broker refused
// something, the error is a *TopologyError, joined if there are several.
type Declarer interface {
	Declare(ctx context.Context, t Topology) error
}

// A TopologyError says what the broker refused to declare, check or bind.
type TopologyError struct {
	// Object is the refused object, such as `queue "orders"`.
	Object string
	// Code is the AMQP reply code: 403 access refused, 404 not found, 406 other arguments or type, 503 unknown type
	// of exchange (RabbitMQ 4.0 answers 406 there, and drivers report 503).
	Code int
	// Reason is the broker's reply text.
	Reason string
}

func (e *TopologyError) Error() string {
	hint := ""
	switch e.Code {
	case 403:
		hint = " (grant the user configure, write or read on it, or set the topology mode to none)"
	case 404:
		hint = " (declare it, or set the topology mode to declare)"
	case 406:
		hint = " (it exists with other arguments or another type: use the same, or set the topology mode to verify)"
	case 503:
		hint = " (enable the plugin of this type on each node, or use another type)"
	}
	return fmt.Sprintf("declare %s: %s%s", e.Object, e.Reason, hint)
}
