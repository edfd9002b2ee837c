package parley

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// An Option is a choice for one message: At, WithTags, Key, ExpiresIn and so on.
type Option func(*messageOptions)

// At schedules the message for t, by the database's clock. A time in the past
// means at once. For Publish and for Send within a transaction.
func At(t time.Time) Option { return func(o *messageOptions) { o.due, o.at = t, true } }

// WithTags marks a scheduled message, so that Cancel and Reschedule find it.
func WithTags(tags Tags) Option { return func(o *messageOptions) { o.tags, o.tagged = tags, true } }

// Unless makes a scheduled message a no-op, with id 0, when one with these tags
// is already scheduled for the same exchange and routing key.
func Unless(tags Tags) Option {
	return func(o *messageOptions) { o.unless, o.conditional = tags, true }
}

// Key sets the ordering key: ordered routes handle messages of one key one after another.
func Key(key string) Option { return func(o *messageOptions) { o.key = key } }

// WithHeader adds an AMQP header.
func WithHeader(name, value string) Option {
	return func(o *messageOptions) { o.headers = append(o.headers, header{name, value}) }
}

// WithMessageID sets the message_id instead of a new UUIDv7, for callers that
// have an identity of their own. Receivers take two messages with one id for duplicates.
func WithMessageID(id string) Option { return func(o *messageOptions) { o.id = id } }

type verb string

const (
	verbPublish verb = "Publish"
	verbSend    verb = "Send"
	verbAsk     verb = "Ask"
	verbAwait   verb = "Await"
)

type header struct{ name, value string }

type messageOptions struct {
	verb        verb
	now         time.Time
	due         time.Time
	at          bool
	tags        Tags
	tagged      bool
	unless      Tags
	conditional bool
	key         string
	id          string
	headers     []header
	expiry      expiry
	replyTo     string
	notify      bool
}

func applyOptions(v verb, options []Option) (*messageOptions, error) {
	o := &messageOptions{verb: v, now: time.Now()}
	for _, option := range options {
		option(o)
	}
	var errs []error
	if o.at && o.due.IsZero() {
		errs = append(errs, &InvalidError{What: "At", Problem: "needs a time, not the zero one"})
	}
	if (o.tagged || o.conditional) && !o.at {
		errs = append(errs, &InvalidError{What: "tags", Problem: "are for scheduled messages: add At"})
	}
	if expires := o.expiry.time(o.now); o.at && !expires.IsZero() && expires.Before(o.due) {
		errs = append(errs, &InvalidError{What: "expiry", Value: formatMillis(expires), Problem: "is before the time that At schedules the message for"})
	}
	if v == verbAwait && o.at {
		errs = append(errs, &InvalidError{What: "At", Problem: "cannot be combined with waiting for the reply: use Ask"})
	}
	if o.replyTo != "" && v != verbAsk {
		errs = append(errs, &InvalidError{What: "ReplyTo", Problem: "is for Ask"})
	}
	if err := o.expiry.check(v, o.now); err != nil {
		errs = append(errs, err)
	}
	return o, errors.Join(errs...)
}

// record makes the outbox record of a message whose body is complete but for its id.
func (o *messageOptions) record(kind Kind, exchange, routingKey string, body []byte) (Record, error) {
	m, err := o.message(kind, exchange, routingKey, body)
	rec := Record{Message: m, DueAt: o.due}
	if err != nil {
		return rec, err
	}
	if o.tagged {
		if rec.Tags, err = o.tags.strings(); err != nil {
			return rec, err
		}
	}
	if o.conditional {
		rec.UnlessTags, err = o.unless.strings()
	}
	return rec, err
}

func (o *messageOptions) message(kind Kind, exchange, routingKey string, body []byte) (Message, error) {
	m := Message{
		Exchange:   exchange,
		RoutingKey: routingKey,
		ID:         o.id,
		Kind:       kind,
		Timestamp:  o.now,
		Body:       body,
	}
	if m.ID == "" {
		m.ID = newUUID(o.now)
	}
	for _, h := range o.headers {
		m.SetHeader(h.name, h.value)
	}
	if o.key != "" {
		m.SetHeader(HeaderKey, o.key)
	}
	return m, checkMessage(&m)
}

// checkMessage refuses what the broker or a database could not take.
func checkMessage(m *Message) error {
	var errs []error // stays nil for a good message: no allocation
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	add(checkExchange(m.Exchange))
	add(checkName("routing key", m.RoutingKey))
	add(checkName("message id", m.ID))
	add(checkName("correlation id", m.CorrelationID))
	add(checkName("app id", m.AppID))
	add(checkName("reply-to", m.ReplyTo))
	add(checkName("content type", m.ContentType))
	add(checkName("content encoding", m.ContentEncoding))
	for name, value := range m.Headers {
		add(checkName("header", name))
		if s, ok := value.(string); ok {
			add(checkText(name, s))
		}
	}
	if len(m.Body) > MaxBody {
		add(&InvalidError{What: "body", Problem: fmt.Sprintf("has %d bytes, the limit is %d: send a reference to it instead", len(m.Body), MaxBody)})
	}
	if !utf8.Valid(m.Body) || bytes.IndexByte(m.Body, 0) >= 0 {
		add(&InvalidError{What: "body", Problem: "must be UTF-8 text without U+0000: databases can hold nothing else"})
	}
	return errors.Join(errs...)
}

func checkText(name, value string) error {
	if len(value) > 4096 {
		return &InvalidError{What: "header " + name, Value: value, Problem: "has more than 4096 bytes"}
	}
	for i := range len(value) {
		if value[i] == 0 {
			return &InvalidError{What: "header " + name, Value: value, Problem: "must not contain U+0000"}
		}
	}
	return nil
}

// newUUID returns a UUIDv7 (RFC 9562, 5.7): ids that sort by time.
func newUUID(now time.Time) string {
	var u [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	rand.Read(u[6:]) // never fails since Go 1.24
	u[6] = 0x70 | u[6]&0x0f
	u[8] = 0x80 | u[8]&0x3f
	var out [36]byte
	hex.Encode(out[0:8], u[0:4])
	hex.Encode(out[9:13], u[4:6])
	hex.Encode(out[14:18], u[6:8])
	hex.Encode(out[19:23], u[8:10])
	hex.Encode(out[24:36], u[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// wrap says what was being done, once, at the outermost exported call.
func wrap(doing, exchange, routingKey string, err error) error {
	return fmt.Errorf("parley: %s %q %q: %w", doing, exchange, routingKey, err)
}
