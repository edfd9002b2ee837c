package parley

import (
	"context"
	"errors"
	"reflect"
	"time"
)

// An EventType is the contract between the publisher and the consumers of one
// type of event: where it is published, and the Go type of its payload. Make it
// with [NewEvent], once, as a package variable that both sides import.
type EventType[T any] struct {
	aggregate string
	name      string
	head      []byte // the constant part of the body
	key       func(T) string
	codec     *codec
}

// NewEvent declares an event. It is published to the exchange named as the
// aggregate, with the event type as its routing key. It panics if AMQP cannot take
// one of the names: that is a mistake in the program.
func NewEvent[T any](aggregate, eventType string) *EventType[T] {
	err := errors.Join(checkExchange(aggregate), checkName("routing key", eventType))
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
		codec:     codecOf(reflect.TypeFor[T]()),
	}
}

// WithKey returns a copy whose events carry the ordering key that f returns, such
// as the aggregate's id. Ordered routes handle events of one key one after another.
func (e *EventType[T]) WithKey(f func(payload T) string) *EventType[T] {
	c := *e
	c.key = f
	return &c
}

// Exchange returns the exchange that the event is published to: its aggregate.
func (e *EventType[T]) Exchange() string { return e.aggregate }

// RoutingKey returns the routing key: the event type.
func (e *EventType[T]) RoutingKey() string { return e.name }

// Record returns an outbox record of the event, for [TxOutbox.Record], which takes
// records of several types at once.
func (e *EventType[T]) Record(payload T, options ...Option) (Record, error) {
	o, err := applyOptions(verbPublish, options)
	if err != nil {
		return Record{}, err
	}
	happened := o.now
	if !o.due.IsZero() {
		happened = o.due
	}
	body := append(make([]byte, 0, 512), `{"eventTime": "`...)
	body = happened.UTC().AppendFormat(body, microsLayout)
	body = append(body, e.head...)
	if body, err = e.codec.encode(body, payload); err != nil {
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
// Publish last in the transaction, after the aggregate has been changed: then the
// events of one aggregate arrive in the order of the changes. Errors that match
// [ErrInvalid] come before anything is written: the transaction is still usable.
func Publish[T any](ctx context.Context, to *TxOutbox, e *EventType[T], payload T, options ...Option) (int64, error) {
	rec, err := e.Record(payload, options...)
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
// statement. It returns their ids.
func PublishAll[T any](ctx context.Context, to *TxOutbox, e *EventType[T], payloads []T, options ...Option) ([]int64, error) {
	records := make([]Record, len(payloads))
	for i, p := range payloads {
		rec, err := e.Record(p, options...)
		if err != nil {
			return nil, wrap("publish", e.aggregate, e.name, err)
		}
		records[i] = rec
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
	// Time is when the event happened, by the publisher's clock; for a scheduled
	// event the time that it was scheduled for. Zero if the publisher sent none.
	Time time.Time
	// Type and Aggregate are as the body says; they are the routing key and the
	// exchange unless the publisher is a foreign one.
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
	if err := c.decode(f.payload, &e.Payload); err != nil {
		return e, &MalformedError{Part: "payload", Err: err}
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
