package parley

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

type header struct{ name, value string }

type messageOptions struct {
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
	keyRules    *KeyRules
	dataKeys    string // for HeaderDataKeys
}

func applyOptions[O interface{ apply(o *messageOptions) }](options []O) (*messageOptions, error) {
	o := &messageOptions{now: time.Now()}
	for _, option := range options {
		option.apply(o)
	}
	var errs []error
	if o.at && o.due.IsZero() {
		errs = append(errs, &InvalidError{What: "WithDueAt", Problem: "must not be the zero time"})
	} else if err := checkTime("WithDueAt", o.due); err != nil {
		errs = append(errs, err)
	}
	if (o.tagged || o.conditional) && !o.at {
		errs = append(errs, &InvalidError{What: "tags", Problem: "are for scheduled messages: add WithDueAt"})
	}
	if expires := o.expiry.time(o.now); o.at && !expires.IsZero() && expires.Before(o.due) {
		errs = append(errs, &InvalidError{What: "expiry", Value: formatMillis(expires), Problem: "must be after the due time (WithDueAt)"})
	}
	if err := o.expiry.check(o.now); err != nil {
		errs = append(errs, err)
	}
	return o, errors.Join(errs...)
}

// record makes the outbox record of a message. Its body lacks only the id.
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
	if o.dataKeys != "" {
		m.SetHeader(HeaderDataKeys, o.dataKeys)
	}
	return m, checkMessage(&m)
}

// checkMessage returns an error for a new message that the broker or a database could not accept.
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
	add(checkTime("timestamp", m.Timestamp))
	add(checkExpiration(m.Expiration))
	for name, value := range m.Headers {
		add(checkHeader(name, value))
	}
	add(checkBodyText(m.Body))
	add(checkSize(m.Kind, m.Body))
	return errors.Join(errs...)
}

// checkExpiration rejects what RabbitMQ does not accept.
func checkExpiration(d time.Duration) error {
	if d < 0 || d > maxExpiration*time.Millisecond {
		return &InvalidError{What: "expiration", Value: d.String(), Problem: "must be from 0, which is none, to " + (maxExpiration * time.Millisecond).String() + ", RabbitMQ's limit"}
	}
	return nil
}

// checkSize rejects bodies that are too large, or will be once FinishBody has added the longest id.
func checkSize(kind Kind, body []byte) error {
	limit := MaxBody
	if name := idMember(kind); name != "" && !hasID(name, afterOpenBrace(body)) {
		limit -= len(name) + len(": -9223372036854775808, ")
	}
	if len(body) <= limit {
		return nil
	}
	return &InvalidError{What: "body", Problem: fmt.Sprintf("has %d bytes, the limit is %d: send a reference to it instead", len(body), limit)}
}

func checkHeader(name string, value any) error {
	if name == "CC" || name == "BCC" {
		return &InvalidError{What: "header", Value: name, Problem: "is reserved by RabbitMQ, which routes the message to the queues in it: choose another name"}
	}
	if err := checkName("header", name); err != nil {
		return err
	}
	text, ok := value.(string)
	if !ok {
		return &InvalidError{What: "header", Value: name, Problem: fmt.Sprintf("is a %T: an outbox holds strings only", value)}
	}
	return checkText(name, text)
}

func checkText(name, value string) error {
	if len(value) > 4096 {
		return &InvalidError{What: "header " + name, Value: value, Problem: "has more than 4096 bytes"}
	}
	if !utf8.ValidString(value) {
		return &InvalidError{What: "header " + name, Value: value, Problem: "must be valid UTF-8"}
	}
	if strings.IndexByte(value, 0) >= 0 {
		return &InvalidError{What: "header " + name, Value: value, Problem: "must not contain U+0000"}
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

// wrap adds the operation to err, once, at the outermost exported call.
func wrap(doing, exchange, routingKey string, err error) error {
	return fmt.Errorf("parley: %s %q %q: %w", doing, exchange, routingKey, err)
}
