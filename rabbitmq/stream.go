package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// offsetArgument is the argument of consumers of a stream, and a header of its messages. RabbitMQ rejects the argument
// on other queues.
const offsetArgument = "x-stream-offset"

// refuseStream returns an error if a delivery has shown that the queue is a stream, and it still is one. AMQP does not report
// the type of a queue, so only a delivery can show it.
func (b *Broker) refuseStream(ctx context.Context, s *session, queue string) error {
	b.mu.Lock()
	seen := b.streams[queue]
	b.mu.Unlock()
	if !seen {
		return nil
	}
	is, err := b.isStream(ctx, s, queue)
	switch {
	case err != nil:
		return err
	case is:
		return streamError(queue)
	}
	b.mu.Lock()
	delete(b.streams, queue)
	b.mu.Unlock()
	return nil
}

// isStream checks with a consumer that only a stream accepts. RabbitMQ before 3.10 would accept it for any queue: there
// isStream returns false.
func (b *Broker) isStream(ctx context.Context, s *session, queue string) (bool, error) {
	if !s.version.atLeast(3, 10) {
		return false, nil
	}
	return callWithContext(ctx, b, func() (is bool, err error) {
		err = s.onChannel(func(ch *amqp.Channel) error {
			if err := ch.Qos(1, 0, false); err != nil {
				return err
			}
			_, err := ch.Consume(queue, "", false, false, false, false, amqp.Table{offsetArgument: "next"})
			is = err == nil
			return err
		})
		if is || isCode(err, amqp.PreconditionFailed) {
			err = nil
		}
		return is, err
	}, nil)
}

// refuseStream ends a subscription at the first delivery from a stream: without a stored offset, messages
// between two subscriptions would be skipped. Messages that were copied from a stream have its header, too.
func (s *subscription) refuseStream(ctx context.Context, d *amqp.Delivery) error {
	if s.checked {
		return nil
	}
	if _, ok := d.Headers[offsetArgument]; !ok {
		return nil
	}
	is, err := s.b.isStream(ctx, s.s, s.queue)
	if err == nil && !is {
		s.checked = true
		return nil
	}
	if is {
		s.b.mu.Lock()
		if s.b.streams == nil {
			s.b.streams = map[string]bool{}
		}
		s.b.streams[s.queue] = true
		s.b.mu.Unlock()
		err = streamError(s.queue)
	}
	return fmt.Errorf("rabbitmq: %w: %w", parley.ErrSubscriptionLost, err)
}

func streamError(queue string) error {
	return &parley.InvalidError{What: "queue", Value: queue, Problem: "is a stream: messages between two subscriptions " +
		"would be skipped (consume a classic or quorum queue that is bound to the same exchange)"}
}
