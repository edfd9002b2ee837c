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
		var errs []error
		for _, e := range t.Exchanges {
			errs = append(errs, s.onChannel(func(ch *amqp.Channel) error { return declareExchange(ch, e, t.Mode) }))
		}
		for _, q := range t.Queues {
			errs = append(errs, s.onChannel(func(ch *amqp.Channel) error { return declareQueue(ch, q, t.Mode) }))
		}
		if t.Mode == parley.TopologyDeclare {
			for _, bind := range t.Bindings {
				errs = append(errs, s.onChannel(func(ch *amqp.Channel) error { return declareBinding(ch, bind) }))
			}
		}
		return none, errors.Join(errs...)
	})
	return err
}

// QueueLen returns how many messages are ready in a queue and how many consumers it has.
// The error is a *parley.TopologyError with code 404 if there is no such queue.
func (b *Broker) QueueLen(ctx context.Context, name string) (messages, consumers int, err error) {
	q, err := ask(ctx, b, "inspect queue", func(s *session) (q amqp.Queue, err error) {
		err = s.onChannel(func(ch *amqp.Channel) error {
			q, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
			return topologyError("queue", name, err)
		})
		return q, err
	})
	return q.Messages, q.Consumers, err
}

// DeleteQueue deletes a queue with its messages. It is no error if there is none.
func (b *Broker) DeleteQueue(ctx context.Context, name string) error {
	_, err := ask(ctx, b, "delete queue", func(s *session) (none struct{}, err error) {
		return none, s.onChannel(func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(name, false, false, false)
			return topologyError("queue", name, err)
		})
	})
	return err
}

// DeleteExchange deletes an exchange with its bindings. It is no error if there is none.
func (b *Broker) DeleteExchange(ctx context.Context, name string) error {
	_, err := ask(ctx, b, "delete exchange", func(s *session) (none struct{}, err error) {
		return none, s.onChannel(func(ch *amqp.Channel) error {
			return topologyError("exchange", name, ch.ExchangeDelete(name, false, false))
		})
	})
	return err
}

// ask runs f on the consuming connection: exclusive queues belong to that one.
func ask[T any](ctx context.Context, b *Broker, what string, f func(s *session) (T, error)) (T, error) {
	s, err := b.consume.session(ctx)
	var answer T
	if err == nil {
		answer, err = within(ctx, b, func() (T, error) { return f(s) }, nil)
	}
	if err != nil {
		return answer, fmt.Errorf("rabbitmq: %s: %w", what, err)
	}
	return answer, nil
}

func declareExchange(ch *amqp.Channel, e parley.Exchange, mode parley.TopologyMode) error {
	kind := string(e.Type)
	if kind == "" {
		kind = string(parley.Topic)
	}
	declare := ch.ExchangeDeclare
	if mode == parley.TopologyVerify {
		declare = ch.ExchangeDeclarePassive
	}
	return topologyError("exchange", e.Name, declare(e.Name, kind, true, e.AutoDelete, false, false, nil))
}

func declareQueue(ch *amqp.Channel, q parley.Queue, mode parley.TopologyMode) error {
	declare := ch.QueueDeclare
	if mode == parley.TopologyVerify {
		declare = ch.QueueDeclarePassive
	}
	_, err := declare(q.Name, !q.Exclusive, false, q.Exclusive, false, queueArguments(q))
	return topologyError("queue", q.Name, err)
}

func queueArguments(q parley.Queue) amqp.Table {
	args := amqp.Table{}
	maps.Copy(args, table(q.Arguments))
	if q.TTL > 0 {
		// Rounded up: zero would mean that no message ever stays.
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
