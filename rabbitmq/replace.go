package rabbitmq

import (
	"context"
	"errors"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// replace removes a classic queue that an earlier version of parley declared, so that a quorum queue can take its name. It
// moves the messages of a retry queue to their target queue and then deletes the retry queue. It reports whether
// declaring the queue should be tried again. Several processes may do this at once; a crash loses no message.
//
// A queue that somebody publishes to cannot be deleted safely: RabbitMQ confirms a message that arrives at the moment of the
// deletion, and drops it. Only consumers of the main queue publish to its retry queues and its parked queue, so replace
// does nothing while the main queue has a consumer.
func (b *Broker) replace(ctx context.Context, s *session, q parley.Queue, now amqp.Queue) bool {
	if ownArguments(q, s.version)[typeArgument] != "quorum" || !s.isClassic(q) {
		return false
	}
	if main, err := s.state(mainQueue(q)); main.Consumers > 0 || err != nil && !isCode(err, amqp.NotFound) {
		return false
	}
	switch {
	case now.Consumers > 0: // another process replaces it, or an operator's command reads parked messages
		return pause(ctx)
	case now.Messages == 0:
		// Atomic: the broker does not delete it if another process uses it or has published to it meanwhile. A later
		// publication finds no queue, and its publisher gets an error.
		err := s.onChannel(func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(q.Name, true, true, false)
			return err
		})
		return err == nil || isCode(err, amqp.PreconditionFailed) && pause(ctx)
	case q.Role == parley.QueueRetry && q.DeadLetterTo != "":
		err := s.onChannel(func(ch *amqp.Channel) error { return b.moveSome(ctx, ch, q, min(now.Messages, 100)) })
		// The broker refuses it (403) if another process consumes the queue exclusively.
		return err == nil || isCode(err, amqp.AccessRefused) && pause(ctx) || isCode(err, amqp.NotFound)
	}
	return false // parked messages would need a second queue meanwhile
}

// mainQueue returns the queue that a retry queue or a parked queue belongs to.
func mainQueue(q parley.Queue) string {
	if q.Role == parley.QueueParked {
		return strings.TrimSuffix(q.Name, parley.ParkedQueue(""))
	}
	return q.DeadLetterTo
}

// pause waits a moment for another process. It returns false when the time is over.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(500 * time.Millisecond):
		return true
	}
}

// isClassic reports whether the queue is classic and has the arguments of an earlier version. The queue exists, so declaring it only compares.
func (s *session) isClassic(q parley.Queue) bool {
	args := queueArguments(q)
	if args == nil {
		args = amqp.Table{}
	}
	args[typeArgument] = "classic" // without it, the virtual host's default type would be compared
	return s.declare(q, args) == nil
}

// moveSome publishes n messages of a retry queue to its target before their delay is over. It consumes the queue exclusively,
// so other connections cannot use it until every message is confirmed or requeued.
func (b *Broker) moveSome(ctx context.Context, ch *amqp.Channel, q parley.Queue, n int) error {
	if err := ch.Qos(n, 0, false); err != nil {
		return err
	}
	const exclusive = true
	deliveries, err := ch.Consume(q.Name, "", false, exclusive, false, false, nil)
	if err != nil {
		return err
	}
	var batch []parley.Message
	var last uint64
	for range n {
		d, err := nextOf(ctx, deliveries)
		if err != nil {
			return err
		}
		if d == nil {
			break
		}
		m := fromDelivery(d)
		m.Exchange, m.RoutingKey = "", q.DeadLetterTo
		batch, last = append(batch, m), d.DeliveryTag
	}
	if errs := b.Publish(ctx, batch); errs != nil {
		return errors.Join(errs...)
	}
	if last == 0 {
		return nil
	}
	return ch.Ack(last, true)
}

// nextOf returns nil when no further message arrives: the others have expired meanwhile.
func nextOf(ctx context.Context, deliveries <-chan amqp.Delivery) (*amqp.Delivery, error) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		return nil, nil
	case d, ok := <-deliveries:
		if !ok {
			return nil, amqp.ErrClosed
		}
		return &d, nil
	}
}

func isCode(err error, code int) bool {
	if t, ok := errors.AsType[*parley.TopologyError](err); ok {
		return t.Code == code
	}
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == code
}
