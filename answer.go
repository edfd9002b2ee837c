package parley

import (
	"context"
	"errors"
	"slices"
	"time"
)

// RollBackExpired has a call that expires while it is handled rolled back instead of
// answered: its caller has given up.
func RollBackExpired() RouteOption { return func(o *routeOptions) { o.rollBackExpired = true } }

// ReplyExchanges restricts the exchanges that a call may ask to be answered at: the
// address comes from the network. Calls with another one are parked. Default: all
// but the broker's own.
func ReplyExchanges(names ...string) RouteOption {
	return func(o *routeOptions) { o.replyExchanges = names }
}

// OnCall answers call c. handle works in a transaction that also records the call in the
// inbox and the reply in the outbox: the change of state and the reply are atomic,
// and a duplicate of the call is neither handled nor answered again.
//
// An error made by [Fail] rolls back what handle did and answers with the failure; any
// other error is retried by the route's policy.
func OnCall[Tx, Req, Resp any](r *Router, in *Inbox[Tx], out *Outbox[Tx], c *CallType[Req, Resp],
	handle func(ctx context.Context, tx Tx, call Call[Req]) (Resp, error), options ...RouteOption,
) {
	o := optionsOf(options)
	h := HandlerFunc(func(ctx context.Context, d *Delivery) error {
		call, err := decodeCall[Req](c.req, d)
		if err != nil {
			return err
		}
		if err := o.allowsReply(call.replyTo); err != nil {
			return err
		}
		err = in.once(ctx, d, func(ctx context.Context, tx Tx) error {
			resp, err := handle(ctx, tx, call)
			if err != nil {
				return err
			}
			if o.rollBackExpired && expired(call.ExpiresAt, time.Now()) {
				return ErrExpired
			}
			return c.reply(ctx, out.In(tx), &call, resp)
		})
		return c.settleCall(ctx, in, out, &call, err)
	})
	r.route(routeSpec{exchange: c.service, key: c.method, exact: true}, h, options)
}

// OnCallOutsideTx is OnCall for a handler that must not work in a transaction, such as one that
// waits for other services. It may run more than once for one call; the reply is
// still sent once.
func OnCallOutsideTx[Tx, Req, Resp any](r *Router, in *Inbox[Tx], out *Outbox[Tx], c *CallType[Req, Resp],
	handle func(ctx context.Context, call Call[Req]) (Resp, error), options ...RouteOption,
) {
	o := optionsOf(options)
	h := HandlerFunc(func(ctx context.Context, d *Delivery) error {
		call, err := decodeCall[Req](c.req, d)
		if err == nil {
			err = o.allowsReply(call.replyTo)
		}
		if err != nil {
			return err
		}
		resp, err := handle(ctx, call)
		if err == nil && o.rollBackExpired && expired(call.ExpiresAt, time.Now()) {
			err = ErrExpired
		}
		if err == nil {
			err = in.once(ctx, d, func(ctx context.Context, tx Tx) error {
				return c.reply(ctx, out.In(tx), &call, resp)
			})
		}
		return c.settleCall(ctx, in, out, &call, err)
	})
	r.route(routeSpec{exchange: c.service, key: c.method, exact: true}, h, options)
}

// settleCall answers with a failure if err is one, and says what becomes of the delivery.
func (c *CallType[Req, Resp]) settleCall(ctx context.Context, in callInbox, out callOutbox, call *Call[Req], err error) error {
	if failure, ok := errors.AsType[*CallError](err); ok {
		err = in.fail(ctx, out, call.Delivery, func(ctx context.Context, to *TxOutbox) error {
			rec, err := replyRecord(c.service, call, []byte("null"), failure)
			if err == nil {
				_, err = to.Record(ctx, rec)
			}
			return err
		})
	}
	if errors.Is(err, ErrDuplicate) || errors.Is(err, ErrExpired) {
		return Ignore(err)
	}
	return err
}

// callInbox and callOutbox hide the transaction's type from settleCall.
type (
	callInbox interface {
		fail(ctx context.Context, out callOutbox, d *Delivery, record func(context.Context, *TxOutbox) error) error
	}
	callOutbox interface{ inAny(tx any) *TxOutbox }
)

func (o *Outbox[Tx]) inAny(tx any) *TxOutbox { return o.In(tx.(Tx)) }

// once runs fn in a transaction, once for the delivery's message.
func (in *Inbox[Tx]) once(ctx context.Context, d *Delivery, fn func(ctx context.Context, tx Tx) error) error {
	return in.store.Once(ctx, in.cfg.Consumer, Identity(&d.Message), fn)
}

func (in *Inbox[Tx]) fail(ctx context.Context, out callOutbox, d *Delivery, record func(context.Context, *TxOutbox) error) error {
	return in.once(ctx, d, func(ctx context.Context, tx Tx) error { return record(ctx, out.inAny(tx)) })
}

// reply records the reply in the callee's outbox.
func (c *CallType[Req, Resp]) reply(ctx context.Context, to *TxOutbox, call *Call[Req], resp Resp) error {
	data, err := c.resp.encode(nil, resp)
	if err != nil {
		return Park(err) // no retry gives it a JSON form
	}
	rec, err := replyRecord(c.service, call, data, nil)
	if err != nil {
		return err
	}
	_, err = to.Record(ctx, rec)
	return err
}

func optionsOf(options []RouteOption) *routeOptions {
	o := &routeOptions{}
	for _, option := range options {
		option(o)
	}
	return o
}

func (o *routeOptions) allowsReply(exchange string) error {
	if o.replyExchanges != nil && !slices.Contains(o.replyExchanges, exchange) {
		return Park(&InvalidError{What: "meta.replyTo", Value: exchange, Problem: "is not among the exchanges of ReplyExchanges"})
	}
	return nil
}
