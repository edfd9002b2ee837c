package parley

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Reply is the reply to a call, in the form that its handler receives.
type Reply[Resp any] struct {
	// ID is the id that Ask returned.
	ID int64
	// Service and Method are those of the call.
	Service, Method string
	// Data is the decoded reply, if Err is nil.
	Data Resp
	// Err is the callee's failure, or nil. See [Fail].
	Err *CallError
	// Time is when the reply was made.
	Time time.Time
	// Delivery is the message as it arrived.
	Delivery *Delivery
}

// OnReply handles the replies to call c, from any exchange.
func OnReply[Req, Resp any](r *Router, c *CallType[Req, Resp], handle func(ctx context.Context, reply Reply[Resp]) error, options ...RouteOption) {
	h := HandlerFunc(func(ctx context.Context, d *Delivery) error {
		reply, err := decodeReply(c, d)
		if err != nil {
			return err
		}
		return handle(ctx, reply)
	})
	r.route(routeSpec{exchange: AnyExchange, key: replyKey(c.service, c.method), exact: true}, h, options)
}

// OnReplyTx is OnReply in a transaction. Only the first reply has an effect: later
// replies, and the notice that the call has expired, are duplicates.
func OnReplyTx[Tx, Req, Resp any](r *Router, in *Inbox[Tx], c *CallType[Req, Resp], handle func(ctx context.Context, tx Tx, reply Reply[Resp]) error, options ...RouteOption) {
	needInbox("OnReplyTx", in)
	h := HandlerFunc(func(ctx context.Context, d *Delivery) error {
		reply, err := decodeReply(c, d)
		if err != nil {
			return err
		}
		return in.onceAs(ctx, d, callOutcome(d, c, reply.ID), func(ctx context.Context, tx Tx) error { return handle(ctx, tx, reply) })
	})
	r.route(routeSpec{exchange: AnyExchange, key: replyKey(c.service, c.method), exact: true}, h, options)
}

// OnExpired handles calls that were made with [WithExpiryNotice] and got no reply in time. handle
// is called with the call's id unless OnReplyTx has handled a reply. A later reply
// is ignored. If the call was made longer ago than the inbox's retention, and the inbox has no reply any more, the notice is parked:
// a reply may have been handled and forgotten.
func OnExpired[Tx, Req, Resp any](r *Router, in *Inbox[Tx], c *CallType[Req, Resp], handle func(ctx context.Context, tx Tx, id int64) error, options ...RouteOption) {
	needInbox("OnExpired", in)
	h := HandlerFunc(func(ctx context.Context, d *Delivery) error {
		f, err := readCall(d.Body)
		if err != nil {
			return err
		}
		id := readID([]byte(f.id))
		return in.onceAs(ctx, d, callOutcome(d, c, id), func(ctx context.Context, tx Tx) error {
			if age := time.Since(d.Timestamp); !d.Timestamp.IsZero() && age > in.cfg.Retention {
				return Park(fmt.Errorf("the call was made %v ago, and the inbox forgets replies after %v: whether a reply was handled is unknown "+
					"(make InboxConfig.Retention longer than the expiry of calls, then replay)", age.Round(time.Second), in.cfg.Retention))
			}
			return handle(ctx, tx, id)
		})
	})
	r.route(routeSpec{exchange: AnyExchange, key: expiredKey(c.service, c.method), exact: true}, h, options)
}

// callOutcome returns the identity that the replies to one call and its expiry notice share. The call's id
// comes from the database that also holds the inbox: both are restored together.
func callOutcome(d *Delivery, c Addressed, id int64) string {
	m := Message{Exchange: d.Exchange, RoutingKey: c.Exchange() + "\x00" + c.RoutingKey()}
	return identityText("outcome", &m, id, time.Time{})
}

func (in *Inbox[Tx]) onceAs(ctx context.Context, d *Delivery, identity string, fn func(ctx context.Context, tx Tx) error) error {
	err := in.once(ctx, d, identity, fn)
	if errors.Is(err, ErrDuplicate) {
		return Ignore(err)
	}
	return err
}

func decodeReply[Req, Resp any](c *CallType[Req, Resp], d *Delivery) (Reply[Resp], error) {
	reply := Reply[Resp]{Delivery: d}
	f, err := readCall(d.Body)
	if err != nil {
		return reply, err
	}
	reply.ID, reply.Err, reply.Time = readID([]byte(f.id)), f.meta.failure, f.meta.time
	reply.Service, reply.Method = replyNames(&d.Message)
	if reply.Err != nil {
		return reply, nil
	}
	if err := c.resp.decode(f.data, &reply.Data, d); err != nil {
		return reply, malformed("data", err)
	}
	return reply, nil
}

// replyNames returns service and method of a reply from its headers. Without them it splits the routing key
// at the first two dots, as the Python library does.
func replyNames(m *Message) (service, method string) {
	if service := m.Header(headerService); service != "" && replyKey(service, m.Header(headerMethod)) == m.RoutingKey {
		return service, m.Header(headerMethod)
	}
	parts := strings.SplitN(m.RoutingKey, ".", 3)
	if len(parts) < 3 {
		return "", ""
	}
	return parts[1], parts[2]
}
