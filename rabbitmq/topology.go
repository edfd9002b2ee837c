package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// Declare implements parley.Declarer. Each object is declared on a channel of its own,
// so that one conflict does not hide another.
func (b *Broker) Declare(ctx context.Context, t parley.Topology) error {
	if t.Mode == parley.TopologyNone {
		return nil
	}
	_, err := ask(ctx, b, "declare topology", func(s *session) (none struct{}, err error) {
		errs := concurrently(len(t.Exchanges), func(i int) error {
			if t.Mode == parley.TopologyDeclare {
				return b.declareExchange(s, t.Exchanges[i])
			}
			return s.onChannel(func(ch *amqp.Channel) error { return declareExchange(ch, t.Exchanges[i], t.Mode) })
		})
		errs = append(errs, concurrently(len(t.Queues), func(i int) error { return b.declareQueue(ctx, s, t.Queues[i], t.Mode) })...)
		if t.Mode == parley.TopologyDeclare {
			errs = append(errs, concurrently(len(t.Bindings), func(i int) error {
				return s.onChannel(func(ch *amqp.Channel) error { return declareBinding(ch, t.Bindings[i]) })
			})...)
		}
		return none, errors.Join(errs...)
	})
	return err
}

func (b *Broker) declareQueue(ctx context.Context, s *session, q parley.Queue, mode parley.TopologyMode) error {
	switch {
	case mode == parley.TopologyVerify:
		return s.verify(q)
	case q.Role != parley.QueuePlain:
		return b.declareOwn(ctx, s, q)
	}
	return s.declare(q, queueArguments(q))
}

// QueueLen returns how many messages are ready in a queue and how many consumers it has.
// The error is a *parley.TopologyError with code 404 if there is no such queue.
func (b *Broker) QueueLen(ctx context.Context, name string) (messages, consumers int, err error) {
	q, err := ask(ctx, b, "inspect queue", func(s *session) (amqp.Queue, error) { return s.state(name) })
	return q.Messages, q.Consumers, err
}

// DeleteQueue deletes a queue with its messages. A missing queue is not an error.
func (b *Broker) DeleteQueue(ctx context.Context, name string) error {
	_, err := ask(ctx, b, "delete queue", func(s *session) (none struct{}, err error) {
		return none, s.onChannel(func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(name, false, false, false)
			return topologyError("queue", name, err)
		})
	})
	return err
}

// DeleteExchange deletes an exchange with its bindings. A missing exchange is not an error.
func (b *Broker) DeleteExchange(ctx context.Context, name string) error {
	_, err := ask(ctx, b, "delete exchange", func(s *session) (none struct{}, err error) {
		return none, s.onChannel(func(ch *amqp.Channel) error {
			return topologyError("exchange", name, ch.ExchangeDelete(name, false, false))
		})
	})
	return err
}

// ask runs f on the consuming connection, to which exclusive queues belong.
func ask[T any](ctx context.Context, b *Broker, what string, f func(s *session) (T, error)) (T, error) {
	s, err := b.consume.session(ctx)
	var answer T
	if err == nil {
		answer, err = callWithContext(ctx, b, func() (T, error) { return f(s) }, nil)
	}
	if err != nil {
		return answer, fmt.Errorf("rabbitmq: %s: %w", what, err)
	}
	return answer, nil
}

func declareExchange(ch *amqp.Channel, e parley.Exchange, mode parley.TopologyMode) error {
	kind := string(e.Type)
	if kind == "" {
		kind = string(parley.ExchangeTopic)
	}
	declare := ch.ExchangeDeclare
	if mode == parley.TopologyVerify {
		declare = ch.ExchangeDeclarePassive
	}
	return topologyError("exchange", e.Name, declare(e.Name, kind, true, e.AutoDelete, false, false, table(e.Arguments)))
}

// verify checks that q exists.
func (s *session) verify(q parley.Queue) error {
	return s.onChannel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(q.Name, !q.Exclusive, false, q.Exclusive, false, queueArguments(q))
		return topologyError("queue", q.Name, err)
	})
}

func queueArguments(q parley.Queue) amqp.Table {
	args := amqp.Table{}
	maps.Copy(args, table(q.Arguments))
	if q.TTL > 0 {
		// Rounded up: zero would expire messages at once.
		args["x-message-ttl"] = (q.TTL + time.Millisecond - 1).Milliseconds()
	}
	if q.DeadLetterTo != "" {
		args["x-dead-letter-exchange"] = ""
		args["x-dead-letter-routing-key"] = q.DeadLetterTo
	}
	if len(args) == 0 {
		return nil
	}
	return args
}

func declareBinding(ch *amqp.Channel, b parley.Binding) error {
	key := b.RoutingKey
	if key == "" {
		key = "#"
	}
	err := ch.QueueBind(b.Queue, key, b.Exchange, false, table(b.Arguments))
	return topologyError("binding of queue", b.Queue, err)
}

func topologyError(kind, name string, err error) error {
	if cause, ok := errors.AsType[*amqp.Error](err); ok && cause.Code >= 400 && cause.Code < 500 {
		return &parley.TopologyError{Object: fmt.Sprintf("%s %q", kind, name), Code: cause.Code, Reason: cause.Reason}
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", kind, name, err)
	}
	return nil
}
