package parley

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// A CommandType is the contract of one command: the service that executes it, its name, and the Go
// type of its arguments. The arguments must encode to a JSON object. Make it with [NewCommand],
// once, as a package variable.
type CommandType[T any] struct {
	service string
	name    string
	key     func(T) string
	codec   *codec
}

// NewCommand declares a command. The service is the exchange that the command is published
// to, the name its routing key. The empty name is for a service with a single command.
// It panics if one of the names is not valid in AMQP, or if two fields of a struct in T have one name on the wire.
// What becomes of the keys of the arguments is said at [NewEvent].
func NewCommand[T any](service, name string) *CommandType[T] {
	codec := codecOf(reflect.TypeFor[T]())
	if err := errors.Join(checkExchange(service), checkName("command name", name), codec.shape.Clash()); err != nil {
		panic("parley: NewCommand: " + err.Error())
	}
	return &CommandType[T]{service: service, name: name, codec: codec}
}

// WithKey returns a copy whose commands carry the ordering key that f returns.
func (c *CommandType[T]) WithKey(f func(arguments T) string) *CommandType[T] {
	clone := *c
	clone.key = f
	return &clone
}

// Verbatim returns a copy whose arguments are not touched in either direction, see [EventType.Verbatim]. Only the member "meta"
// is added.
func (c *CommandType[T]) Verbatim() *CommandType[T] {
	clone := *c
	clone.codec = c.codec.asIs()
	return &clone
}

// Exchange returns the exchange that the command is published to: its service.
func (c *CommandType[T]) Exchange() string { return c.service }

// RoutingKey returns the routing key: the command's name.
func (c *CommandType[T]) RoutingKey() string { return c.name }

// Record returns an outbox record of the command, for [TxOutbox.Record].
func (c *CommandType[T]) Record(arguments T, options ...SendTxOption) (Record, error) {
	o, err := applyOptions(options)
	if err != nil {
		return Record{}, err
	}
	return c.record(o, arguments)
}

func (c *CommandType[T]) record(o *messageOptions, arguments T) (Record, error) {
	body, err := c.body(o, arguments)
	if err != nil {
		return Record{}, err
	}
	if c.key != nil && o.key == "" {
		o.key = c.key(arguments)
	}
	return o.record(KindCommand, c.service, c.name, body)
}

// body encodes the arguments and, as their last member, the metadata.
func (c *CommandType[T]) body(o *messageOptions, arguments T) ([]byte, error) {
	body, err := c.codec.encode(make([]byte, 0, 256), &arguments, o)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 || body[0] != '{' {
		return nil, &InvalidError{What: "payload", Problem: fmt.Sprintf("type %T does not encode to a JSON object: use a struct or a map for the arguments", arguments)}
	}
	err = jsonkeys.Members(body, limits, func(key string, _ []byte) error {
		if memberName(key) == "meta" { // as the receiver reads it
			return &InvalidError{What: "argument", Value: key, Problem: "is reserved: the library's own data are the argument meta"}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	body = bytes.TrimRight(body[:len(body)-1], " \t\r\n")
	if len(body) > 1 {
		body = append(body, ", "...)
	}
	body = append(body, `"meta": {`...)
	if at := o.expiry.time(o.now); !at.IsZero() {
		body = appendTime(body, "expiredTime", at)
	}
	return append(body, "}}"...), nil
}

// appendTime appends a member with a time of three decimals, as the Python parser requires.
func appendTime(dst []byte, name string, at time.Time) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, `": "`...)
	dst = append(dst, formatMillis(at)...)
	return append(dst, '"')
}

// Send sends a command at once and returns nil when the broker has accepted it and a queue
// has taken it. Otherwise the error matches ErrInvalid, ErrUnroutable (no queue is bound),
// ErrRejected, ErrRefused, or ErrUnknown (it may have arrived). Concurrent calls share
// confirms. To send within a database transaction use [SendTx].
func Send[T any](ctx context.Context, pub Publisher, c *CommandType[T], arguments T, options ...SendOption) error {
	o, err := applyOptions(options)
	if err != nil {
		return wrap("send", c.service, c.name, err)
	}
	rec, err := c.record(o, arguments)
	if err == nil {
		err = publishNow(ctx, pub, rec.Message)
	}
	if err != nil {
		return wrap("send", c.service, c.name, err)
	}
	return nil
}

func publishNow(ctx context.Context, pub Publisher, m Message) error {
	if m.CorrelationID == "" {
		m.CorrelationID = CorrelationID(ctx)
	}
	if errs := pub.Publish(ctx, []Message{m}); errs != nil {
		return errs[0]
	}
	return nil
}

// SendTx records a command in the outbox, within the caller's transaction. It is sent after
// the transaction commits, and never if it rolls back. SendTx returns the record's id.
func SendTx[T any](ctx context.Context, to *TxOutbox, c *CommandType[T], arguments T, options ...SendTxOption) (int64, error) {
	o, err := applyOptions(options)
	if err != nil {
		return 0, wrap("send", c.service, c.name, err)
	}
	o.useKeyRules(to.cfg.KeyRules)
	rec, err := c.record(o, arguments)
	if err != nil {
		return 0, wrap("send", c.service, c.name, err)
	}
	ids, err := to.Record(ctx, rec)
	if err != nil {
		return 0, wrap("send", c.service, c.name, err)
	}
	return ids[0], nil
}

// A Command is a command as its handler receives it.
type Command[T any] struct {
	// Name is the command's name: the routing key.
	Name string
	// Args are the decoded arguments.
	Args T
	// ExpiresAt is when the command expires; zero means never.
	ExpiresAt time.Time
	// Delivery is the message as it arrived, with its headers, body and correlation id.
	Delivery *Delivery
}

// OnCommand handles command c. An expired command is settled without calling the handler.
func OnCommand[T any](r *Router, c *CommandType[T], handle func(ctx context.Context, c Command[T]) error, options ...RouteOption) {
	h := HandlerFunc(func(ctx context.Context, d *Delivery) error {
		command, err := decodeCommand[T](c.codec, d)
		if err != nil {
			return err
		}
		return handle(ctx, command)
	})
	r.route(routeSpec{exchange: c.service, key: c.name, exact: true}, h, options)
}

// OnCommandTx is OnCommand with an exactly-once effect, in a transaction; see [OnTx].
// Commands of the Python library have no identity, so the inbox cannot distinguish a
// duplicate from an equal command. They get a transaction only.
func OnCommandTx[Tx, T any](r *Router, in *Inbox[Tx], c *CommandType[T], handle func(ctx context.Context, tx Tx, c Command[T]) error, options ...RouteOption) {
	needInbox("OnCommandTx", in)
	h := in.Handler(func(ctx context.Context, tx Tx, d *Delivery) error {
		command, err := decodeCommand[T](c.codec, d)
		if err != nil {
			return err
		}
		return handle(ctx, tx, command)
	})
	r.route(routeSpec{exchange: c.service, key: c.name, exact: true}, h, options)
}

func decodeCommand[T any](c *codec, d *Delivery) (Command[T], error) {
	command := Command[T]{Name: d.RoutingKey, Delivery: d}
	var meta metaFields
	err := jsonkeys.Members(d.Body, limits, func(key string, value []byte) (err error) {
		if memberName(key) == "meta" {
			meta, err = readMeta(value)
		}
		return err
	})
	if err != nil {
		return command, malformed("body", err)
	}
	command.ExpiresAt = meta.expires
	if expired(meta.expires, time.Now()) {
		return command, Ignore(ErrExpired)
	}
	if err := c.decode(d.Body, &command.Args, d); err != nil {
		return command, malformed("body", err)
	}
	v := reflect.ValueOf(&command.Args).Elem()
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String {
		v.SetMapIndex(reflect.ValueOf("meta").Convert(v.Type().Key()), reflect.Value{})
	}
	return command, nil
}

// malformed returns err as a *MalformedError, unless it is one already.
func malformed(part string, err error) error {
	if _, ok := errors.AsType[*MalformedError](err); ok {
		return err
	}
	return &MalformedError{Part: part, Err: err}
}

// metaFields are the metadata of commands, calls and replies.
type metaFields struct {
	time    time.Time
	expires time.Time
	replyTo string
	failure *CallError
}

func readMeta(value []byte) (m metaFields, err error) {
	if string(value) == "null" {
		return m, nil
	}
	err = jsonkeys.Members(value, limits, func(key string, value []byte) error {
		switch jsonkeys.UnderscoreizeKey(key, false) {
		case "time":
			return readTime(value, &m.time)
		case "expired_time":
			return readTime(value, &m.expires)
		case "reply_to":
			return readString(value, &m.replyTo)
		case "error":
			return readFailure(value, &m.failure)
		}
		return nil
	})
	if err != nil {
		return m, malformed("meta", err)
	}
	return m, nil
}
