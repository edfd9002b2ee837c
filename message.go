package parley

import (
	"sync/atomic"
	"time"
)

// Kind is the kind of a message: an event, a command, a call or a reply. It
// is the AMQP property "type". Messages of the Python library have none.
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
	// HeaderKey carries the ordering key of a message: an ordered route handles
	// deliveries with the same key one after another.
	HeaderKey = "parley-key"
	// HeaderTraceParent and HeaderTraceState carry the W3C trace context.
	HeaderTraceParent = "traceparent"
	HeaderTraceState  = "tracestate"
	// HeaderUnreadable is set by a driver on a message whose headers it cannot read; its value says why. The
	// readable headers are kept.
	HeaderUnreadable = "parley-unreadable-headers"
)

// ContentType is the content type of every message on the wire, the same as the
// Python library's.
const ContentType = "text/json"

// A Message is an address, AMQP properties and a body. Every message is published
// persistent and mandatory.
type Message struct {
	// Exchange and RoutingKey address the message (AMQP 0-9-1, basic.publish).
	Exchange   string
	RoutingKey string
	// ID is the AMQP message_id: a UUIDv7 in messages published by parley, the same
	// on every republication. Empty in messages of the Python library.
	ID string
	// Kind is the AMQP property "type".
	Kind Kind
	// AppID names the sending service.
	AppID string
	// CorrelationID is shared by all messages of one business operation.
	CorrelationID string
	// ReplyTo is the AMQP property reply_to. Calls carry their reply address in
	// the body, as the Python library does; this property is for other clients.
	ReplyTo string
	// ContentType and ContentEncoding are as received. An empty ContentType is
	// published as [ContentType].
	ContentType     string
	ContentEncoding string
	// Timestamp is when the message was recorded or sent, with second precision on the wire.
	Timestamp time.Time
	// Priority is the AMQP property priority, 0 to 255. It only has an effect in queues with x-max-priority.
	Priority uint8
	// Expiration is the AMQP property expiration: how long the message may wait in a queue. It is sent in whole
	// milliseconds; 0 means no limit.
	Expiration time.Duration
	// UserID is the AMQP property user_id as received. It is never published: RabbitMQ refuses
	// the name of another user.
	UserID string
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

	// ID is the row's id, assigned by the store on insertion. It becomes the eventId
	// of an event and the id of a call.
	ID int64
	// CreatedAt is when the record was inserted, by the database's clock.
	CreatedAt time.Time
	// DueAt is when the record is to be published, by the database's
	// clock. Zero means at once.
	DueAt time.Time
	// Tags mark a scheduled record, so that it can be cancelled or rescheduled. Values are strings,
	// converted as in [Tags].
	Tags map[string]string
	// UnlessTags, if not empty, makes the insertion a no-op (ID stays 0) while a matching scheduled
	// record is pending. A record matches if it has the same exchange and routing key, and at least
	// these tags.
	UnlessTags map[string]string
}

// A Delivery is a message as a consumer receives it. It must be settled exactly
// once; the [Consumer] does that, handlers never do.
type Delivery struct {
	Message

	// Queue is the queue that the message was consumed from.
	Queue string
	// Redelivered reports whether the broker has delivered this copy before. False does not
	// mean that the message is new: its publisher may have sent it twice.
	Redelivered bool
	// Attempt is the number of the current attempt, starting at 1.
	Attempt int

	history History
	acker   Acknowledger
	settled *atomic.Bool // shared by all attempts
	row     *rowClaim    // of a delivery that comes from the failure store

	keyRules *KeyRules // the consumer's
}

// History returns the failed attempts and replays of the message before this delivery, through
// a retry queue, the failure store or the parked queue.
func (d *Delivery) History() History { return d.history }

// An Acknowledger settles one delivery on the broker session that it came from.
// Drivers implement it.
type Acknowledger interface {
	// Settle sends the settlement to the broker. It returns ErrStale,
	// and sends nothing, if the session has ended.
	Settle(s Settlement) error
}

// A Settlement is how a delivery is settled.
type Settlement int

const (
	// SettleAck removes the message from its queue (basic.ack).
	SettleAck Settlement = iota
	// SettleRequeue returns it to its queue, for immediate redelivery (basic.nack).
	// It is for shutdown, never for retries.
	SettleRequeue
)

// NewDelivery returns a delivery for drivers and tests.
func NewDelivery(m Message, queue string, redelivered bool, a Acknowledger) *Delivery {
	return &Delivery{Message: m, Queue: queue, Redelivered: redelivered, Attempt: 1, acker: a, settled: new(atomic.Bool)}
}

// failed returns a new delivery for the next attempt. A handler may have kept the last one, and
// its content must not change.
func (d *Delivery) failed(err error, now time.Time) *Delivery {
	again := *d
	again.history.note(err, now)
	again.Attempt = again.history.Attempts + 1
	return &again
}

// Settle settles the delivery. Only the first call reaches the broker; later ones
// return ErrSettled.
func (d *Delivery) Settle(s Settlement) error {
	if !d.settled.CompareAndSwap(false, true) {
		return ErrSettled
	}
	return d.acker.Settle(s)
}
