package rabbitmq

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

const (
	typeArgument     = "x-queue-type"
	strategyArgument = "x-dead-letter-strategy"
	overflowArgument = "x-overflow"
	limitArgument    = "x-delivery-limit"
	leaderArgument   = "x-queue-leader-locator"
	takeoverArgument = "x-consumer-disconnected-timeout"
)

// ownArguments returns the arguments of a queue with a role: a quorum queue, as safe as the broker's version allows. RabbitMQ
// before 3.10 supports neither a TTL nor safe dead-lettering for quorum queues.
func ownArguments(q parley.Queue, v version) amqp.Table {
	args := queueArguments(q)
	if q.Role == parley.QueuePlain || q.Exclusive || !v.atLeast(3, 10) {
		return args
	}
	if args == nil {
		args = amqp.Table{}
	}
	choose := func(name string, value any) {
		if _, given := args[name]; !given {
			args[name] = value
		}
	}
	choose(typeArgument, "quorum")
	if args[typeArgument] == "quorum" {
		choose(leaderArgument, "balanced") // by default the leader is on the node of the client that declares the queue
	}
	switch {
	case args[typeArgument] != "quorum":
	case q.Role == parley.QueueRetry:
		choose(strategyArgument, "at-least-once")
		choose(overflowArgument, "reject-publish") // at-least-once has no effect without it
	case q.Role == parley.QueueParked && v.atLeast(4, 0):
		choose(limitArgument, int64(-1)) // no limit; before 4.0 it would drop a message at its first return
	}
	return args
}

// declareOwn declares a queue with a role. A consumer must start whatever arguments its queues have. So an existing queue with
// other arguments is replaced if that cannot lose a message, and used unchanged otherwise.
func (b *Broker) declareOwn(ctx context.Context, s *session, q parley.Queue) error {
	ctx, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	for {
		err := s.declare(q, ownArguments(q, s.version))
		if err == nil {
			b.noteVersion(s, q)
			return nil
		}
		conflict, ok := errors.AsType[*parley.TopologyError](err)
		if !ok || conflict.Code != amqp.PreconditionFailed {
			return err
		}
		state, err := s.state(q.Name)
		switch {
		case isCode(err, amqp.NotFound) && strings.Contains(conflict.Reason, "inequivalent"):
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // another process has just deleted it, to declare it again
		case isCode(err, amqp.NotFound): // the broker does not support the arguments
			if err := s.declareWithoutOurs(q); err != nil {
				return err
			}
		case err != nil:
			return err
		case b.replace(ctx, s, q, state) && ctx.Err() == nil:
			continue
		}
		b.note(q.Name, "rabbitmq: queue exists with less safe arguments, using it unchanged", "queue", q.Name, "reason", conflict.Reason,
			"hint", "to replace it, stop all consumers of "+mainQueue(q)+" and then start one; a parked queue has to be empty")
		return nil
	}
}

// declareWithoutOurs declares a queue without the arguments that make it safer. If a quorum queue, the default of the virtual host,
// cannot have the other arguments either, it becomes a classic queue.
func (s *session) declareWithoutOurs(q parley.Queue) error {
	args := queueArguments(q)
	err := s.declare(q, args)
	if _, typed := args[typeArgument]; err == nil || typed || len(args) == 0 {
		return err
	}
	args = maps.Clone(args)
	args[typeArgument] = "classic"
	if s.declare(q, args) == nil {
		return nil
	}
	return err
}

// replaceTimeout limits how long replacing an earlier queue delays the start of a consumer.
const replaceTimeout = 30 * time.Second

// noteVersion warns once about a broker without safe retry queues.
func (b *Broker) noteVersion(s *session, q parley.Queue) {
	if q.Role == parley.QueueRetry && !s.version.atLeast(3, 10) {
		b.note("", "rabbitmq: retry queues are classic, a retry may be lost while its target queue is full, deleted or unreachable (use RabbitMQ 3.10 or later)")
	}
}

// note logs a warning about a queue once.
func (b *Broker) note(queue, text string, attributes ...any) {
	b.mu.Lock()
	known := b.noted[queue]
	if b.noted == nil {
		b.noted = map[string]bool{}
	}
	b.noted[queue] = true
	b.mu.Unlock()
	if !known {
		b.cfg.Logger.Warn(text, attributes...)
	}
}

// CheckQueue returns what is wrong with a queue that a consumer has declared, or "". The queue may have
// other arguments, from an earlier version or another program. CheckQueue changes nothing. The error is a
// *parley.TopologyError with code 404 if there is no such queue.
func (b *Broker) CheckQueue(ctx context.Context, q parley.Queue) (problem string, err error) {
	return ask(ctx, b, "check queue", func(s *session) (string, error) {
		if _, err := s.state(q.Name); err != nil {
			return "", err
		}
		err := s.declare(q, ownArguments(q, s.version)) // the queue exists, so declaring it only compares the arguments
		conflict, ok := errors.AsType[*parley.TopologyError](err)
		switch {
		case ok && conflict.Code == amqp.PreconditionFailed:
			return conflict.Reason, nil
		case err == nil && q.Role != parley.QueuePlain && !s.version.atLeast(3, 10):
			return "RabbitMQ before 3.10 has no retry queues that are safe while the target is full, deleted or unreachable", nil
		}
		return "", err
	})
}

// declare declares q with the given arguments. Two of them make a queue better, but are no reason to refuse a queue that was
// created without them: where its leader is placed, and when the deliveries of a lost node are given back.
func (s *session) declare(q parley.Queue, args amqp.Table) error {
	for {
		err := s.declareExactly(q, args)
		name := optional(err)
		if _, given := args[name]; !given {
			return err
		}
		args = maps.Clone(args)
		delete(args, name)
	}
}

// optional returns the optional argument that an existing queue lacks, or "".
func optional(err error) string {
	conflict, ok := errors.AsType[*parley.TopologyError](err)
	if !ok || conflict.Code != amqp.PreconditionFailed || !strings.Contains(conflict.Reason, "current is none") {
		return ""
	}
	for _, name := range [...]string{leaderArgument, takeoverArgument} {
		if strings.Contains(conflict.Reason, "'"+name+"'") {
			return name
		}
	}
	return ""
}

func (s *session) declareExactly(q parley.Queue, args amqp.Table) error {
	return s.onChannel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(q.Name, !q.Exclusive, false, q.Exclusive, false, args)
		return topologyError("queue", q.Name, err)
	})
}

// state returns how many messages are ready in a queue, and how many consumers it has.
func (s *session) state(name string) (q amqp.Queue, err error) {
	err = s.onChannel(func(ch *amqp.Channel) error {
		q, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return topologyError("queue", name, err)
	})
	return q, err
}
