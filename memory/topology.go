package memory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// Declare declares or checks exchanges, queues and bindings, in this order. It reports all
// problems, as *parley.TopologyError with the reply codes of RabbitMQ. 403 is for names reserved by
// the broker and for the default exchange. 404 is for missing objects, 406 for objects that exist
// with another type or other arguments.
func (b *Broker) Declare(ctx context.Context, t parley.Topology) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return parley.ErrClosed
	}
	if t.Mode == parley.TopologyNone {
		return nil
	}
	verify := t.Mode == parley.TopologyVerify
	var errs []error
	for _, e := range t.Exchanges {
		errs = append(errs, b.declareExchange(e, verify))
	}
	for _, q := range t.Queues {
		errs = append(errs, b.declareQueue(q, verify))
	}
	if !verify {
		for _, bind := range t.Bindings {
			errs = append(errs, b.bind(bind))
		}
	}
	return errors.Join(errs...)
}

func (b *Broker) declareExchange(e parley.Exchange, verify bool) error {
	if e.Type == "" {
		e.Type = parley.ExchangeTopic
	}
	if err := checkDeclared("exchange", e.Name); err != nil {
		return err
	}
	old := b.exchanges[e.Name]
	switch {
	case old == nil && verify:
		return missing("exchange", e.Name)
	case old == nil && reserved(e.Name):
		return denied("exchange", e.Name)
	case old == nil && !knownType(e.Type):
		return topologyError("exchange", e.Name, 503, fmt.Sprintf("unknown exchange type %q", e.Type))
	case old == nil:
		b.exchanges[e.Name] = newExchange(e)
	case !verify && old.Type != e.Type:
		return topologyError("exchange", e.Name, 406, fmt.Sprintf("it is of type %q, not %q", old.Type, e.Type))
	case !verify && !sameArguments(old.Arguments, e.Arguments):
		return topologyError("exchange", e.Name, 406, fmt.Sprintf("its arguments are %v, not %v", old.Arguments, e.Arguments))
	case !verify && old.AutoDelete != e.AutoDelete:
		return topologyError("exchange", e.Name, 406, fmt.Sprintf("its auto-delete is %t, not %t", old.AutoDelete, e.AutoDelete))
	}
	return nil
}

func knownType(t parley.ExchangeType) bool {
	return t == parley.ExchangeTopic || t == parley.ExchangeDirect || t == parley.ExchangeFanout || t == parley.ExchangeHeaders
}

func (b *Broker) declareQueue(d parley.Queue, verify bool) error {
	if err := checkDeclared("queue", d.Name); err != nil {
		return err
	}
	if d.Name == "" {
		return &parley.InvalidError{What: "queue", Problem: "must have a name"}
	}
	d.TTL = d.TTL.Truncate(time.Millisecond) // as x-message-ttl has it
	old := b.queues[d.Name]
	switch {
	case old == nil && verify:
		return missing("queue", d.Name)
	case old == nil && reserved(d.Name):
		return denied("queue", d.Name)
	case old == nil:
		b.queues[d.Name] = newQueue(b, d)
	case !verify && old.Exclusive != d.Exclusive:
		return topologyError("queue", d.Name, 406, fmt.Sprintf("its exclusive is %t, not %t", old.Exclusive, d.Exclusive))
	case !verify && !sameArguments(queueArguments(old.Queue), queueArguments(d)):
		return topologyError("queue", d.Name, 406,
			fmt.Sprintf("its arguments are %v, not %v", queueArguments(old.Queue), queueArguments(d)))
	}
	return nil
}

// queueArguments returns the arguments in their form on the wire.
func queueArguments(q parley.Queue) map[string]any {
	a := make(map[string]any, len(q.Arguments)+3)
	for name, value := range q.Arguments {
		a[name] = value
	}
	if q.TTL > 0 {
		a["x-message-ttl"] = q.TTL.Milliseconds()
	}
	if q.DeadLetterTo != "" {
		a["x-dead-letter-exchange"] = ""
		a["x-dead-letter-routing-key"] = q.DeadLetterTo
	}
	return a
}

func (b *Broker) bind(bind parley.Binding) error {
	if bind.Exchange == "" {
		return denied("exchange", "")
	}
	if len(bind.RoutingKey) > shortString {
		return &parley.InvalidError{What: "binding key", Value: bind.RoutingKey, Problem: "must not be longer than 255 bytes"}
	}
	ex, q := b.exchanges[bind.Exchange], b.queues[bind.Queue]
	if ex == nil {
		return missing("exchange", bind.Exchange)
	}
	if q == nil {
		return missing("queue", bind.Queue)
	}
	ex.bind(q, bind)
	return nil
}

// deleteQueue removes q with its messages and bindings; b.mu is held.
func (b *Broker) deleteQueue(q *queue) {
	delete(b.queues, q.Name)
	q.deleted = true
	q.purge()
	for name, ex := range b.exchanges {
		if ex.unbind(q) && ex.AutoDelete && len(ex.bindings) == 0 {
			delete(b.exchanges, name)
		}
	}
	for len(q.consumers) > 0 {
		q.consumers[0].end(fmt.Errorf("%w: queue %q was deleted", parley.ErrSubscriptionLost, q.Name))
	}
}

func checkDeclared(what, name string) error {
	if len(name) > shortString {
		return &parley.InvalidError{What: what, Value: name, Problem: "must not be longer than 255 bytes"}
	}
	if what == "exchange" && name == "" {
		return denied(what, name)
	}
	return nil
}

func missing(what, name string) error {
	return topologyError(what, name, 404, "there is no "+what+" of this name")
}

func denied(what, name string) error {
	return topologyError(what, name, 403, "the name is reserved by the broker")
}

func topologyError(what, name string, code int, reason string) error {
	return &parley.TopologyError{Object: fmt.Sprintf("%s %q", what, name), Code: code, Reason: reason}
}
