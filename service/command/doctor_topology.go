package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// declared compares exchanges and queues with the settings. It declares existing ones again. That changes nothing, but fails if the
// arguments differ.
func (d *doctor) declared(ctx context.Context) {
	for _, e := range d.s.Settings.RelayTopology().Exchanges {
		d.object(ctx, fmt.Sprintf("exchange %q", e.Name), parley.Topology{Exchanges: []parley.Exchange{e}})
	}
	for _, q := range d.s.Settings.RunQueues() {
		t := d.s.Queue(q.Name).Topology() // also the bindings that the handlers need
		if d.object(ctx, fmt.Sprintf("queue %q", q.Name), parley.Topology{Queues: t.Queues}) {
			d.queue(ctx, &q)
		}
		if len(q.Binds) == 0 {
			d.warn("bindings", fmt.Sprintf("the settings have no binding for queue %q", q.Name), "set binds, or bind the queue by other means")
		}
		for _, name := range boundOnly(t) {
			d.object(ctx, fmt.Sprintf("exchange %q of a binding", name), parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: name}}})
		}
	}
}

// handlers reports the handlers that get no messages.
func (d *doctor) handlers() {
	if d.registered != nil {
		d.failed("handlers", d.registered, "the function that registers handlers failed")
		return
	}
	if !d.hasHandlers {
		for _, q := range d.s.Settings.RunQueues() {
			if q.BindsAuto() {
				d.warn("bindings", fmt.Sprintf("queue %q has binds: auto, cannot determine: the bindings depend on the handlers", q.Name), "run the doctor of the service's own binary")
			}
		}
		return
	}
	unbound := d.s.Unbound()
	for _, u := range unbound {
		d.problem("handlers", fmt.Sprintf("the handler of exchange %q, routing key %q (%s) gets no messages: no binding of queue %q matches", u.Exchange, u.Pattern, u.Place, u.Queue),
			u.Hint())
	}
	n := 0
	for _, q := range d.s.Queues() {
		n += len(q.Router.Routes())
	}
	if n > 0 && len(unbound) == 0 {
		d.fine("handlers", "a binding of the settings matches each of %d", n)
	}
}

func (d *doctor) object(ctx context.Context, what string, t parley.Topology) (there bool) {
	existence := t.Mode == parley.TopologyVerify
	t.Mode = parley.TopologyVerify
	err := d.s.Broker.Declare(ctx, t)
	there = err == nil
	if err == nil && !existence {
		t.Mode = parley.TopologyDeclare
		err = d.s.Broker.Declare(ctx, t)
	}
	refused, ok := errors.AsType[*parley.TopologyError](err)
	switch {
	case err == nil && existence:
		d.fine(what, "exists")
	case existence && ok && refused.Code == 404:
		d.problem(what, "does not exist, so the consumer cannot bind its queue", "list it in exchanges, or start the service that declares it")
	case err == nil:
		d.fine(what, "exists with the arguments of the settings")
	case ok && refused.Code == 404 && d.s.Settings.TopologyMode() == parley.TopologyDeclare:
		d.warn(what, "does not exist yet", "the service declares it at start-up; or run: topology apply")
	case ok && refused.Code == 404:
		d.problem(what, "does not exist, and the setting topology is "+d.s.Settings.Topology, "declare it, or set topology to declare")
	case ok && refused.Code == 406 && d.s.Settings.TopologyMode() == parley.TopologyDeclare:
		d.problem(what, "differs from the settings: "+refused.Reason, "the service cannot declare it at start-up: delete it, change the settings, or set topology to verify; a queue with a TTL or a length limit, or one that is not durable, loses messages")
	case ok && refused.Code == 406:
		d.warn(what, "exists with other arguments: "+refused.Reason, "if this is intended, set topology to verify; a queue with a TTL or a length limit, or one that is not durable, loses messages")
	case ok && refused.Code == 403 && there:
		d.fine(what, "exists; this user has no permission to declare it")
	default:
		d.failed(what, err, "")
	}
	return there
}

// A queueLength is a broker that counts the messages and consumers of a queue.
type queueLength interface {
	QueueLen(ctx context.Context, name string) (messages, consumers int, err error)
}

func (d *doctor) queue(ctx context.Context, own *settings.Queue) {
	name := own.Name
	b, ok := d.s.Broker.(queueLength)
	if !ok {
		return
	}
	messages, consumers, err := b.QueueLen(ctx, name)
	switch {
	case err != nil:
		d.failed(fmt.Sprintf("queue %q", name), err, "")
	case consumers == 0 && messages > 0:
		d.problem(fmt.Sprintf("queue %q", name), counted(int64(messages), "message is ready, but the queue has no consumer", "messages are ready, but the queue has no consumer"), "start the consumer")
	default:
		d.fine(fmt.Sprintf("queue %q", name), "%d messages, %d consumers", messages, consumers)
	}
	d.otherConsumers(ctx, name)
	d.ownQueues(ctx, own)
	d.parkedQueue(ctx, b, name)
}
