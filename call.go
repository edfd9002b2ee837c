package parley

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// A CallType is the contract of one call: which service answers it, the method's name, and the
// Go types of request and reply. Make it with [NewCall], once, as a package variable.
type CallType[Req, Resp any] struct {
	service string
	method  string
	req     *codec
	resp    *codec
}

// NewCall declares a call. It is published to the exchange named as the service, with
// the method as its routing key. It panics if AMQP cannot take one of the names.
func NewCall[Req, Resp any](service, method string) *CallType[Req, Resp] {
	err := errors.Join(checkExchange(service), checkName("method", method),
		checkName("routing key of the reply", replyKey(service, method)))
	if err != nil {
		panic("parley: NewCall: " + err.Error())
	}
	return &CallType[Req, Resp]{
		service: service, method: method,
		req: codecOf(reflect.TypeFor[Req]()), resp: codecOf(reflect.TypeFor[Resp]()),
	}
}

// Exchange returns the exchange that the call is published to: its service.
func (c *CallType[Req, Resp]) Exchange() string { return c.service }

// RoutingKey returns the routing key: the method.
func (c *CallType[Req, Resp]) RoutingKey() string { return c.method }

// replyKey is the routing key of replies, as the Python library makes it.
func replyKey(service, method string) string { return "call-response." + service + "." + method }

// expiredKey is the routing key of the notices that a call has expired.
func expiredKey(service, method string) string { return "call-expired." + service + "." + method }

// ReplyTo names the exchange that the reply of an [Ask] is published to. Required there.
func ReplyTo(exchange string) Option { return func(o *messageOptions) { o.replyTo = exchange } }

// NotifyExpired makes an [Ask] with an expiry tell its owner when no reply has come in time: a
// handler registered with [OnExpired] is called, unless that of the reply was.
func NotifyExpired() Option { return func(o *messageOptions) { o.notify = true } }

// Record returns an outbox record of the call, for [TxOutbox.Record].
func (c *CallType[Req, Resp]) Record(request Req, options ...Option) (Record, error) {
	o, err := applyOptions(verbAsk, options)
	if err != nil {
		return Record{}, err
	}
	return c.record(o, request)
}

func (c *CallType[Req, Resp]) record(o *messageOptions, request Req) (Record, error) {
	if err := checkExchange(o.replyTo); err != nil {
		return Record{}, &InvalidError{What: "ReplyTo", Value: o.replyTo, Problem: "must name the exchange for the reply", Err: err}
	}
	body, err := c.req.encode(append(make([]byte, 0, 256), `{"data": `...), request)
	if err != nil {
		return Record{}, err
	}
	body = appendTime(append(body, `, "meta": {`...), "time", o.now)
	body = appendString(append(body, `, "replyTo": `...), o.replyTo)
	if at := o.expiry.time(o.now); !at.IsZero() {
		body = appendTime(append(body, ", "...), "expiredTime", at)
	}
	return o.record(KindCall, c.service, c.method, append(body, "}}"...))
}

// Ask records a call in the outbox, within the caller's transaction. The reply arrives, as a
// message, at the exchange that [ReplyTo] names, for a handler registered with
// [OnReply]. Ask returns the call's id, which the reply carries.
func Ask[Req, Resp any](ctx context.Context, to *TxOutbox, c *CallType[Req, Resp], request Req, options ...Option) (int64, error) {
	id, err := c.ask(ctx, to, request, options)
	if err != nil {
		return 0, wrap("ask", c.service, c.method, err)
	}
	return id, nil
}

func (c *CallType[Req, Resp]) ask(ctx context.Context, to *TxOutbox, request Req, options []Option) (int64, error) {
	o, err := applyOptions(verbAsk, options)
	if err != nil {
		return 0, err
	}
	expires := o.expiry.time(o.now)
	if o.notify && expires.IsZero() {
		return 0, &InvalidError{What: "NotifyExpired", Problem: "needs an expiry: add ExpiresIn or ExpiresAt"}
	}
	rec, err := c.record(o, request)
	if err != nil {
		return 0, err
	}
	ids, err := to.Record(ctx, rec)
	if err != nil || !o.notify || ids[0] == 0 { // a call that Unless held back does not expire
		return first(ids), err
	}
	notice := Record{Message: Message{
		Exchange: o.replyTo, RoutingKey: expiredKey(c.service, c.method), ID: newUUID(o.now), Kind: KindReply, Timestamp: o.now,
		Body: appendReply(nil, strconv.FormatInt(ids[0], 10), []byte("null"), expires, nil),
	}, DueAt: expires.Add(ExpirySkew)}
	_, err = to.Record(ctx, notice)
	return ids[0], err
}

func first(ids []int64) int64 {
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// A Call is a call as its handler receives it.
type Call[Req any] struct {
	// ID is the caller's number of the call, unique in its database; 0 if it is not a number.
	ID int64
	// Method is the method's name: the routing key.
	Method string
	// Data is the decoded request.
	Data Req
	// Time is when the call was made; ExpiresAt when its caller stops waiting, zero for never.
	Time, ExpiresAt time.Time
	// Delivery is the message as it arrived.
	Delivery *Delivery

	id      string // as it came, number or string
	replyTo string
}

// A CallError is a failure that a callee answers with: the caller gets it instead of a
// reply, and nothing is tried again. Make one with [Fail].
type CallError struct {
	// Code is for programs, such as "not_found".
	Code string
	// Message is for people.
	Message string
}

func (e *CallError) Error() string { return e.Code + ": " + e.Message }

// Fail returns an error that answers a call with a failure: what the handler did in its
// transaction is rolled back, and the caller gets a *CallError.
func Fail(code, message string) error { return &CallError{Code: code, Message: message} }

// callFields are the wrapper of a call or reply.
type callFields struct {
	id   string
	data []byte
	meta metaFields
}

func readCall(body []byte) (f callFields, err error) {
	f.data = []byte("{}")
	err = jsonkeys.Members(body, limits, func(key string, value []byte) (err error) {
		switch memberName(key) {
		case "id":
			f.id = string(value)
		case "data":
			f.data = value
		case "meta":
			f.meta, err = readMeta(value)
		}
		return err
	})
	if err != nil {
		return f, malformed("body", err)
	}
	if f.id == "" || f.id == "null" {
		return f, &MalformedError{Part: "body", Err: errors.New("the call has no id")}
	}
	return f, nil
}

func readFailure(value []byte, to **CallError) error {
	if string(value) == "null" {
		return nil
	}
	e := &CallError{}
	*to = e
	return jsonkeys.Members(value, limits, func(key string, value []byte) error {
		switch key {
		case "code":
			return readString(value, &e.Code)
		case "message":
			return readString(value, &e.Message)
		}
		return nil
	})
}

// callIdentity returns what a call without a message id is unique by.
func callIdentity(body []byte) (id int64, at time.Time, ok bool) {
	f, err := readCall(body)
	if err != nil {
		return 0, time.Time{}, false
	}
	id = readID([]byte(f.id))
	return id, f.meta.time, id != 0 && !f.meta.time.IsZero()
}

func decodeCall[Req any](c *codec, d *Delivery) (Call[Req], error) {
	call := Call[Req]{Method: d.RoutingKey, Delivery: d}
	f, err := readCall(d.Body)
	if err != nil {
		return call, err
	}
	call.id, call.ID, call.replyTo = f.id, readID([]byte(f.id)), f.meta.replyTo
	call.Time, call.ExpiresAt = f.meta.time, f.meta.expires
	if err := checkExchange(call.replyTo); err != nil {
		return call, &MalformedError{Part: "meta.replyTo", Err: err}
	}
	if expired(call.ExpiresAt, time.Now()) {
		return call, Ignore(ErrExpired)
	}
	if err := c.decode(f.data, &call.Data); err != nil {
		return call, &MalformedError{Part: "data", Err: err}
	}
	return call, nil
}

// appendReply writes the body of a reply.
func appendReply(dst []byte, id string, data []byte, now time.Time, failure *CallError) []byte {
	dst = append(append(dst, `{"id": `...), id...)
	dst = append(append(dst, `, "data": `...), bytes.TrimSpace(data)...)
	dst = appendTime(append(dst, `, "meta": {`...), "time", now)
	if failure != nil {
		dst = appendString(append(dst, `, "error": {"code": `...), failure.Code)
		dst = appendString(append(dst, `, "message": `...), failure.Message)
		dst = append(dst, '}')
	}
	return append(dst, "}}"...)
}

// headers that carry the exact names of a reply's service and method: the routing key
// cannot be split where they contain dots.
const (
	headerService = "parley-service"
	headerMethod  = "parley-method"
)

// replyRecord makes the outbox record of the reply to call.
func replyRecord[Req any](service string, call *Call[Req], data []byte, failure *CallError) (Record, error) {
	o := messageOptions{now: time.Now()}
	o.headers = []header{{headerService, service}, {headerMethod, call.Method}}
	body := appendReply(nil, call.id, data, o.now, failure)
	rec, err := o.record(KindReply, call.replyTo, replyKey(service, call.Method), body)
	rec.CorrelationID = call.Delivery.CorrelationID
	if err != nil {
		err = Park(fmt.Errorf("reply to exchange %q: %w", call.replyTo, err))
	}
	return rec, err
}
