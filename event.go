package parley

import (
	"context"
	"errors"
	"reflect"
	"time"
)

// An EventType is the contract between the publisher and the consumers of one
// type of event: its exchange and routing key, and the Go type of its payload. Make it
// with [NewEvent], once, as a package variable that both sides import.
type EventType[T any] struct {
	aggregate string
	name      string
	head      []byte // the constant part of the body
	key       func(T) string
	codec     *codec
}

// NewEvent declares an event. The aggregate is the exchange that the event is published to, the event type its
// routing key. It panics if one of the names is not valid in AMQP. It panics too if two fields of a struct in T
// have one name on the wire, such as user_id and userId. Both are mistakes in the program.
//
// On the wire the fields of structs are in camelCase, for Python services, and so are other keys of the payload. Between two
// services that use parley nothing changes: a header says how the keys of maps, json.RawMessage and
// types with their own MarshalJSON were spelled ([HeaderDataKeys]). A Python service reads all keys in snake_case: "EUR" as
// "eur", "sha256" as "sha_256". Two keys of one object that have one name on the wire cannot be published: the error
// matches [ErrInvalid] and names both. See [EventType.Verbatim] for payloads that must not be touched.
func NewEvent[T any](aggregate, eventType string) *EventType[T] {
	c := codecOf(reflect.TypeFor[T]())
	err := errors.Join(checkExchange(aggregate), checkName("routing key", eventType), c.shape.Clash())
	if err != nil {
		panic("parley: NewEvent: " + err.Error())
	}
	head := appendString([]byte(`", "eventType": `), eventType)
	head = appendString(append(head, `, "aggregate": `...), aggregate)
	head = append(head, `, "payload": `...)
	return &EventType[T]{
		aggregate: aggregate,
		name:      eventType,
		head:      head,
		codec:     c,
	}
}

// WithKey returns a copy whose events carry the ordering key that f returns, such
// as the aggregate's id. Ordered routes handle events of one key one after another.
func (e *EventType[T]) WithKey(f func(payload T) string) *EventType[T] {
	c := *e
	c.key = f
	return &c
}

// Verbatim returns a copy whose payload is not touched in either direction: it is published as encoding/json encodes it,
// and decoded as it was received. A Python service publishes and reads such a payload by its own rules all the same.
func (e *EventType[T]) Verbatim() *EventType[T] {
	c := *e
	c.codec = e.codec.asIs()
	return &c
}

// Exchange returns the exchange that the event is published to: its aggregate.
func (e *EventType[T]) Exchange() string { return e.aggregate }

// RoutingKey returns the routing key: the event type.
func (e *EventType[T]) RoutingKey() string { return e.name }

// Record returns an outbox record of the event, for [TxOutbox.Record], which accepts
// records of several types at once.
func (e *EventType[T]) Record(payload T, options ...PublishOption) (Record, error) {
	return e.record(nil, payload, options)
}

func (e *EventType[T]) record(rules *KeyRules, payload T, options []PublishOption) (Record, error) {
	o, err := applyOptions(options)
	if err != nil {
		return Record{}, err
	}
	o.useKeyRules(rules)
	happened := o.now
	if !o.due.IsZero() {
		happened = o.due
	}
	body := append(make([]byte, 0, 512), `{"eventTime": "`...)
	body = happened.UTC().AppendFormat(body, microsLayout)
	body = append(body, e.head...)
	if body, err = e.codec.encode(body, &payload, o); err != nil {
		return Record{}, err
	}
	body = append(body, '}')
	if e.key != nil && o.key == "" {
		o.key = e.key(payload)
	}
	return o.record(KindEvent, e.aggregate, e.name, body)
}

// Publish records an event in the outbox, within the caller's transaction. The
// event is sent after the transaction commits, at least once, and never if it
// rolls back. It returns the event's id, which receivers see as eventId.
//
// Publish last in the transaction, after changing the aggregate: then the
// events of one aggregate arrive in the order of the changes. An error that matches
// [ErrInvalid] means that nothing was written: the transaction is still usable.
func Publish[T any](ctx context.Context, to *TxOutbox, e *EventType[T], payload T, options ...PublishOption) (int64, error) {
	rec, err := e.record(to.cfg.KeyRules, payload, options)
	if err != nil {
		return 0, wrap("publish", e.aggregate, e.name, err)
	}
	ids, err := to.Record(ctx, rec)
	if err != nil {
		return 0, wrap("publish", e.aggregate, e.name, err)
	}
	return ids[0], nil
}

// PublishAll records one event for each payload, in their order, with one
// statement. It returns their ids. Several payloads cannot share the id of [WithMessageID] (ErrInvalid).
func PublishAll[T any](ctx context.Context, to *TxOutbox, e *EventType[T], payloads []T, options ...PublishOption) ([]int64, error) {
	records := make([]Record, len(payloads))
	for i, p := range payloads {
		rec, err := e.record(to.cfg.KeyRules, p, options)
		if err != nil {
			return nil, wrap("publish", e.aggregate, e.name, err)
		}
		records[i] = rec
	}
	if len(records) > 1 && records[0].Message.ID == records[1].Message.ID { // ids that parley makes differ
		err := &InvalidError{What: "WithMessageID", Value: records[0].Message.ID,
			Problem: "is for one event, and an inbox would ignore all but the first of these: call Publish for each payload, or Record and TxOutbox.Record"}
		return nil, wrap("publish", e.aggregate, e.name, err)
	}
	ids, err := to.Record(ctx, records...)
	if err != nil {
		return nil, wrap("publish", e.aggregate, e.name, err)
	}
	return ids, nil
}

// An Event is an event as its handler receives it.
type Event[T any] struct {
	// ID is the eventId: unique within the publisher's database, 0 if it is not a number.
	ID int64
	// Time is when the event happened, by the publisher's clock. For a scheduled
	// event it is the scheduled time. Zero if the publisher sent none.
	Time time.Time
	// Type and Aggregate are those in the body; they equal the routing key and the
	// exchange unless the publisher uses another library.
	Type      string
	Aggregate string
	// Payload is the decoded payload.
	Payload T
	// Delivery is the message as it arrived, with its headers and body.
	Delivery *Delivery
}

func decodeEvent[T any](c *codec, d *Delivery) (Event[T], error) {
	e := Event[T]{Delivery: d}
	f, err := readEvent(d.Body)
	if err != nil {
		return e, err
	}
	e.ID, e.Time, e.Type, e.Aggregate = f.id, f.time, f.eventType, f.aggregate
	if err := c.decode(f.payload, &e.Payload, d); err != nil {
		return e, malformed("payload", err)
	}
	return e, nil
}

// On handles events of type e: from its exchange, with its routing key.
func On[T any](r *Router, e *EventType[T], handle func(ctx context.Context, e Event[T]) error, options ...RouteOption) {
	r.route(routeSpec{exchange: e.aggregate, key: e.name, exact: true}, eventHandler(e.codec, handle), options)
}

// OnPattern handles events of several types that share a payload, such as every
// event of an aggregate ("#"). The pattern is as in [Router.Handle].
func OnPattern[T any](r *Router, exchange, pattern string, handle func(ctx context.Context, e Event[T]) error, options ...RouteOption) {
	c := codecOf(reflect.TypeFor[T]())
	r.route(patternSpec(exchange, pattern), eventHandler(c, handle), options)
}

func eventHandler[T any](c *codec, handle func(context.Context, Event[T]) error) Handler {
	return HandlerFunc(func(ctx context.Context, d *Delivery) error {
		e, err := decodeEvent[T](c, d)
		if err != nil {
			return err
		}
		return handle(ctx, e)
	})
}
