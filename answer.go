package parley

import (
	"context"
	"errors"
	"slices"
	"time"
)

// RollBackExpired makes a call that expires while it is being handled roll back
// instead of being answered, because its caller no longer waits.
func RollBackExpired() RouteOption { return func(o *routeOptions) { o.rollBackExpired = true } }

// ReplyExchanges restricts the exchanges that a call may name for its reply, because
// that name comes from the network. A call that names another exchange is parked.
// Default: all exchanges except the broker's own. The reply exchange is not declared:
// if it does not exist, the reply is unroutable.
func ReplyExchanges(names ...string) RouteOption {
	return func(o *routeOptions) { o.replyExchanges = names }
}

// OnCall answers call c. handle runs in a transaction that also records the call in the
// inbox and the reply in the outbox. The change of state and the reply are therefore
// atomic, and a duplicate of the call is neither handled nor answered again.
//
// An error made by [Fail] rolls back what handle did and answers with the failure. Any
// other error is retried by the route's policy.
func OnCall[Tx, Req, Resp any](r *Router, in *Inbox[Tx], out *Outbox[Tx], c *CallType[Req, Resp],
	handle func(ctx context.Context, tx Tx, call Call[Req]) (Resp, error), options ...RouteOption,
) {
	needInbox("OnCall", in)
	needOutbox("OnCall", out)
	o := optionsOf(options)
	h := HandlerFunc(func(ctx context.Context, d *Delivery) error {
		call, err := decodeCall[Req](c.req, d)
		if err != nil {
			return err
		}
		if err := o.allowsReply(call.replyTo); err != nil {
			return err
		}
		err = in.once(ctx, d, Identity(&d.Message), func(ctx context.Context, tx Tx) error {
			resp, err := handle(ctx, tx, call)
			if err != nil {
				return err
			}
			if o.rollBackExpired && expired(call.ExpiresAt, time.Now()) {
				return ErrExpired
			}
			return c.reply(ctx, out.In(tx), &call, resp)
		})
		return settleCall(ctx, in, out, c, &call, err)
	})
	r.route(routeSpec{exchange: c.service, key: c.method, exact: true}, h, options)
}

// OnCallOutsideTx is OnCall for a handler that must not run in a transaction, such as one that
// waits for other services. The handler may run more than once for one call; the reply
// is still sent once.
func OnCallOutsideTx[Tx, Req, Resp any](r *Router, in *Inbox[Tx], out *Outbox[Tx], c *CallType[Req, Resp],
	handle func(ctx context.Context, call Call[Req]) (Resp, error), options ...RouteOption,
) {
	needInbox("OnCallOutsideTx", in)
	needOutbox("OnCallOutsideTx", out)
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
			err = in.once(ctx, d, Identity(&d.Message), func(ctx context.Context, tx Tx) error {
				return c.reply(ctx, out.In(tx), &call, resp)
			})
		}
		return settleCall(ctx, in, out, c, &call, err)
	})
	r.route(routeSpec{exchange: c.service, key: c.method, exact: true}, h, options)
}

// settleCall answers with a failure if err is a *CallError, and returns the error that settles the delivery.
func settleCall[Tx, Req, Resp any](ctx context.Context, in *Inbox[Tx], out *Outbox[Tx], c *CallType[Req, Resp], call *Call[Req], err error) error {
	if failure, ok := errors.AsType[*CallError](err); ok {
		err = in.once(ctx, call.Delivery, Identity(&call.Delivery.Message), func(ctx context.Context, tx Tx) error {
			rec, err := replyRecord(c.service, call, []byte("null"), failure, &messageOptions{})
			if err == nil {
				_, err = out.In(tx).Record(ctx, rec)
			}
			return err
		})
	}
	if errors.Is(err, ErrDuplicate) || errors.Is(err, ErrExpired) {
		return Ignore(err)
	}
	return err
}

// reply records the reply in the callee's outbox.
func (c *CallType[Req, Resp]) reply(ctx context.Context, to *TxOutbox, call *Call[Req], resp Resp) error {
	o := &messageOptions{keyRules: to.cfg.KeyRules}
	data, err := c.resp.encode(nil, &resp, o)
	if err != nil {
		return Park(err) // no retry makes it encodable
	}
	rec, err := replyRecord(c.service, call, data, nil, o)
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
