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

// A CallType is the contract of one call: the service that answers it, the method's name, and the
// Go types of request and reply. Make it with [NewCall], once, as a package variable.
type CallType[Req, Resp any] struct {
	service string
	method  string
	req     *codec
	resp    *codec
}

// NewCall declares a call. The service is the exchange that the call is published to, the method its routing
// key. It panics if one of the names is not valid in AMQP. It panics too if two fields of a struct in Req or
// Resp have one name on the wire. What becomes of the keys of request and reply is said at [NewEvent].
func NewCall[Req, Resp any](service, method string) *CallType[Req, Resp] {
	req, resp := codecOf(reflect.TypeFor[Req]()), codecOf(reflect.TypeFor[Resp]())
	err := errors.Join(checkExchange(service), checkName("method", method),
		checkName("routing key of the reply", replyKey(service, method)), req.shape.Clash(), resp.shape.Clash())
	if err != nil {
		panic("parley: NewCall: " + err.Error())
	}
	return &CallType[Req, Resp]{
		service: service, method: method,
		req: req, resp: resp,
	}
}

// Verbatim returns a copy whose request and reply are not touched in either direction, see [EventType.Verbatim].
func (c *CallType[Req, Resp]) Verbatim() *CallType[Req, Resp] {
	clone := *c
	clone.req, clone.resp = c.req.asIs(), c.resp.asIs()
	return &clone
}

// Exchange returns the exchange that the call is published to: its service.
func (c *CallType[Req, Resp]) Exchange() string { return c.service }

// RoutingKey returns the routing key: the method.
func (c *CallType[Req, Resp]) RoutingKey() string { return c.method }

// replyKey returns the routing key of replies, in the form of the Python library.
func replyKey(service, method string) string { return "call-response." + service + "." + method }

// expiredKey returns the routing key of the notices that a call has expired.
func expiredKey(service, method string) string { return "call-expired." + service + "." + method }

// Record returns an outbox record of the call, for [TxOutbox.Record]. [WithExpiryNotice] is ErrInvalid: the notice needs the id that
// the outbox gives the call, so [Ask] schedules it.
func (c *CallType[Req, Resp]) Record(request Req, options ...AskOption) (Record, error) {
	o, err := applyOptions(options)
	if err != nil {
		return Record{}, err
	}
	if o.notify {
		return Record{}, &InvalidError{What: "WithExpiryNotice", Problem: "needs the id of the recorded call: use Ask"}
	}
	return c.record(o, request)
}

func (c *CallType[Req, Resp]) record(o *messageOptions, request Req) (Record, error) {
	if err := checkExchange(o.replyTo); err != nil {
		return Record{}, &InvalidError{What: "WithReplyTo", Value: o.replyTo, Problem: "must name the exchange for the reply", Err: err}
	}
	body, err := c.req.encode(append(make([]byte, 0, 256), `{"data": `...), &request, o)
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

// Ask records a call in the outbox, within the caller's transaction. The reply is published
// to the exchange that [WithReplyTo] names, and a handler registered with [OnReply] receives
// it. Ask returns the call's id, which the reply carries.
func Ask[Req, Resp any](ctx context.Context, to *TxOutbox, c *CallType[Req, Resp], request Req, options ...AskOption) (int64, error) {
	id, err := c.ask(ctx, to, request, options)
	if err != nil {
		return 0, wrap("ask", c.service, c.method, err)
	}
	return id, nil
}

func (c *CallType[Req, Resp]) ask(ctx context.Context, to *TxOutbox, request Req, options []AskOption) (int64, error) {
	o, err := applyOptions(options)
	if err != nil {
		return 0, err
	}
	o.useKeyRules(to.cfg.KeyRules)
	expires := o.expiry.time(o.now)
	if o.notify && expires.IsZero() {
		return 0, &InvalidError{What: "WithExpiryNotice", Problem: "needs an expiry: add WithExpiresIn or WithExpiresAt"}
	}
	if o.notify && !o.due.IsZero() {
		return 0, &InvalidError{What: "WithExpiryNotice", Problem: "cannot be combined with WithDueAt, because a cancellation of the call would leave the notice: schedule an event, and let its handler call Ask"}
	}
	due := expires.Add(ExpirySkew) // of the notice
	if err := checkTime("expiry", due); o.notify && err != nil {
		return 0, err
	}
	rec, err := c.record(o, request)
	if err != nil {
		return 0, err
	}
	ids, err := to.Record(ctx, rec)
	if err != nil || !o.notify {
		return first(ids), err
	}
	notice := Record{Message: Message{
		Exchange: o.replyTo, RoutingKey: expiredKey(c.service, c.method), ID: newUUID(o.now), Kind: KindReply, Timestamp: o.now,
		Body: appendReply(nil, strconv.FormatInt(ids[0], 10), []byte("null"), expires, nil),
	}, DueAt: due}
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
	// ID is the caller's id of the call, unique in the caller's database; 0 if it is not a number.
	ID int64
	// Method is the method's name: the routing key.
	Method string
	// Data is the decoded request.
	Data Req
	// Time is when the call was made. ExpiresAt is when its caller stops waiting; zero means never.
	Time, ExpiresAt time.Time
	// Delivery is the message as it arrived.
	Delivery *Delivery

	id      string // as received, number or string
	replyTo string
}

// A CallError is a failure that a callee answers with. The caller receives it instead of a
// reply, and the call is not retried. Make one with [Fail].
type CallError struct {
	// Code is for programs, for example "not_found".
	Code string
	// Message is for people.
	Message string
}

func (e *CallError) Error() string { return e.Code + ": " + e.Message }

// Fail returns an error that answers a call with a failure. What the handler did in its
// transaction is rolled back, and the caller receives a *CallError.
func Fail(code, message string) error { return &CallError{Code: code, Message: message} }

// callFields are the members of the wrapper of a call or reply.
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

// callIdentity returns the id and time that identify a call without a message id.
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
	if err := c.decode(f.data, &call.Data, d); err != nil {
		return call, malformed("data", err)
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

// Headers with the exact names of a reply's service and method: the routing key
// cannot be split if they contain dots.
const (
	headerService = "parley-service"
	headerMethod  = "parley-method"
)

// replyRecord makes the outbox record of the reply to call.
func replyRecord[Req any](service string, call *Call[Req], data []byte, failure *CallError, o *messageOptions) (Record, error) {
	o.now = time.Now()
	o.headers = []header{{headerService, service}, {headerMethod, call.Method}}
	body := appendReply(nil, call.id, data, o.now, failure)
	rec, err := o.record(KindReply, call.replyTo, replyKey(service, call.Method), body)
	rec.CorrelationID = call.Delivery.CorrelationID
	if err != nil {
		err = Park(fmt.Errorf("reply to exchange %q: %w", call.replyTo, err))
	}
	return rec, err
}
