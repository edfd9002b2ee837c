package parley

import (
	"sync/atomic"
	"time"
)

// Kind tells what a message is: an event, a command, a call or a reply. It
// travels as the AMQP property "type". Messages of the Python library carry none.
type Kind string

// The kinds of messages that parley writes.
const (
	KindEvent   Kind = "event"
	KindCommand Kind = "command"
	KindCall    Kind = "call"
	KindReply   Kind = "reply"
)

// Header names that parley writes. Python services ignore them.
const (
	// HeaderKey carries the ordering key of a message: deliveries with the same
	// key are handled one after another by an ordered route.
	HeaderKey = "parley-key"
	// HeaderTraceParent and HeaderTraceState carry the W3C trace context.
	HeaderTraceParent = "traceparent"
	HeaderTraceState  = "tracestate"
)

// ContentType is the content type of every message on the wire; the Python
// library writes the same.
const ContentType = "text/json"

// A Message is what travels: where it is published to, its AMQP properties and
// its body. Every message is published persistent and mandatory.
type Message struct {
	// Exchange and RoutingKey address the message (AMQP 0-9-1, basic.publish).
	Exchange   string
	RoutingKey string
	// ID is the AMQP message_id: a UUIDv7 in messages written by parley, the same
	// on every republication. Empty in messages of the Python library.
	ID string
	// Kind is the AMQP property "type".
	Kind Kind
	// AppID names the sending service.
	AppID string
	// CorrelationID ties together all messages of one business operation.
	CorrelationID string
	// ReplyTo is the AMQP property reply_to. Calls carry their reply address in
	// the body, as the Python library does; this one is for foreign clients.
	ReplyTo string
	// ContentType and ContentEncoding are as received. An empty ContentType is
	// published as [ContentType].
	ContentType     string
	ContentEncoding string
	// Timestamp is when the message was recorded or sent, with second precision on the wire.
	Timestamp time.Time
	// Headers are the AMQP headers: nil, bool, string, []byte, int64, float64,
	// time.Time, []any and map[string]any. Records in an outbox hold strings only.
	Headers map[string]any
	// Body is the JSON text.
	Body []byte
}

// Key returns the ordering key that the publisher gave the message, or "".
func (m *Message) Key() string { return m.Header(HeaderKey) }

// Header returns the header called name if it is a string, else "".
func (m *Message) Header(name string) string {
	s, _ := m.Headers[name].(string)
	return s
}

// SetHeader sets the header called name.
func (m *Message) SetHeader(name, value string) {
	if m.Headers == nil {
		m.Headers = make(map[string]any, 4)
	}
	m.Headers[name] = value
}

// A Record is a message in an outbox.
type Record struct {
	Message

	// ID is the row's id, given by the store on insertion. It becomes the eventId
	// of an event and the id of a call.
	ID int64
	// CreatedAt is when the record was inserted, by the database's clock.
	CreatedAt time.Time
	// DueAt is when the record is to be published, compared with the database's
	// clock. Zero means at once.
	DueAt time.Time
	// Tags mark a scheduled record, so that it can be cancelled. Values are strings,
	// as [Tags] casts them.
	Tags map[string]string
	// UnlessTags, if not empty, makes the insertion a no-op (ID stays 0) when a
	// scheduled record with the same exchange and routing key and a superset of
	// these tags is pending.
	UnlessTags map[string]string
}

// A Delivery is a message as a consumer receives it. It has to be settled exactly
// once; the [Consumer] does that, handlers never do.
type Delivery struct {
	Message

	// Queue is the queue that the message was taken from.
	Queue string
	// Redelivered tells that the broker delivered this copy before. False does not
	// mean that the message is new: a publisher may have sent it twice.
	Redelivered bool
	// Attempt counts how often the message has been tried, this time included.
	Attempt int

	history History
	acker   Acknowledger
	settled atomic.Bool
}

// History tells how the message has fared before this delivery: after a retry through
// a delay queue, or a replay of a parked message.
func (d *Delivery) History() History { return d.history }

// An Acknowledger settles one delivery on the broker session that it came from.
// Drivers implement it.
type Acknowledger interface {
	// Settle tells the broker what becomes of the delivery. It returns ErrStale,
	// and sends nothing, when the session has ended.
	Settle(s Settlement) error
}

// A Settlement is what becomes of a delivery.
type Settlement int

const (
	// Ack removes the message from its queue (basic.ack).
	Ack Settlement = iota
	// Requeue gives it back to its queue, for immediate redelivery (basic.nack).
	// It is for shutdown, never a way to retry.
	Requeue
)

// NewDelivery returns a delivery for drivers and tests.
func NewDelivery(m Message, queue string, redelivered bool, a Acknowledger) *Delivery {
	return &Delivery{Message: m, Queue: queue, Redelivered: redelivered, Attempt: 1, acker: a}
}

// Settle settles the delivery. Only the first call reaches the broker; later ones
// return ErrSettled.
func (d *Delivery) Settle(s Settlement) error {
	if !d.settled.CompareAndSwap(false, true) {
		return ErrSettled
	}
	return d.acker.Settle(s)
}
