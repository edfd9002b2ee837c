package parley

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A ParkedMessage is a message in the parked queue of a consumer.
type ParkedMessage struct {
	// Message is as its consumer got it: with its own exchange and routing key.
	Message
	// Queue is the queue that it was parked from.
	Queue   string
	History History
	// Signed tells that the history was written by a consumer with one of the secrets.
	Signed bool
}

// ParkedAction is what to do with a parked message.
type ParkedAction int

const (
	// ParkedKeep leaves it where it is.
	ParkedKeep ParkedAction = iota
	// ParkedReplay gives it back to its queue, with its identity and history, to be
	// tried anew by the whole retry plan.
	ParkedReplay
	// ParkedDrop deletes it.
	ParkedDrop
)

// VisitParked shows the parked messages of a queue, oldest first, and does with each what
// visit says. visit may change the body of a message before it replays it. Nothing is
// removed before its copy is safe; a crash may repeat a replay. It returns an error
// if visit does; messages that were kept are back in their place then too.
//
// At most 65,535 messages are seen in one visit.
func VisitParked(ctx context.Context, b Broker, queue string, secrets [][]byte, visit func(m *ParkedMessage) (ParkedAction, error)) error {
	secrets, err := secretsOf(b, secrets)
	if err != nil {
		return err
	}
	left, counted := countMessages(ctx, b, ParkedQueue(queue))
	sub, err := b.Subscribe(ctx, ParkedQueue(queue), SubscribeOptions{Prefetch: 65535})
	if err != nil {
		return fmt.Errorf("parley: visit parked messages of queue %q: %w", queue, err)
	}
	for ; err == nil && (!counted || left > 0); left-- {
		var d *Delivery
		if d, err = nextParked(ctx, sub); d == nil {
			break
		}
		err = visitOne(ctx, b, queue, secrets, d, visit)
	}
	if err = errors.Join(err, sub.Close()); err != nil {
		return fmt.Errorf("parley: visit parked messages of queue %q: %w", queue, err)
	}
	return nil
}

// A queueCounter is a broker that can tell how many messages wait in a queue.
type queueCounter interface {
	QueueLen(ctx context.Context, queue string) (messages, consumers int, err error)
}

// countMessages spares a visit the wait at the end of the queue.
func countMessages(ctx context.Context, b Broker, queue string) (n int, ok bool) {
	counter, ok := b.(queueCounter)
	if !ok {
		return 0, false
	}
	n, consumers, err := counter.QueueLen(ctx, queue)
	return n, err == nil && consumers == 0
}

// nextParked returns nil when no further message comes: AMQP does not tell the end of a queue.
func nextParked(ctx context.Context, sub Subscription) (*Delivery, error) {
	next, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	d, err := sub.Next(next)
	if err != nil && ctx.Err() == nil && next.Err() != nil {
		return nil, nil
	}
	return d, err
}

func visitOne(ctx context.Context, b Broker, queue string, secrets [][]byte, d *Delivery, visit func(*ParkedMessage) (ParkedAction, error)) error {
	m := &ParkedMessage{Message: d.Message, Queue: queue, History: readHistory(&d.Message), Signed: signedBy(secrets, &d.Message, queue)}
	m.Exchange, m.RoutingKey = d.Header(headerExchange), d.Header(headerRoutingKey)
	action, err := visit(m)
	if err != nil || action == ParkedKeep {
		return err
	}
	if action == ParkedReplay {
		h := m.History
		h.Replays++
		h.hops, h.Reason = 0, ""
		copied := hopMessage(m.Message, queue, queue, h, secrets[0])
		if errs := b.Publish(ctx, []Message{copied}); errs != nil {
			return fmt.Errorf("replay message %q: %w", m.ID, errs[0])
		}
	}
	return d.Settle(Ack)
}

// ReplayParked gives all parked messages of a queue back to it, and returns how many. Messages
// whose history is not signed stay: use VisitParked for them.
func ReplayParked(ctx context.Context, b Broker, queue string, secrets [][]byte) (int, error) {
	n := 0
	err := VisitParked(ctx, b, queue, secrets, func(m *ParkedMessage) (ParkedAction, error) {
		if !m.Signed {
			return ParkedKeep, nil
		}
		n++
		return ParkedReplay, nil
	})
	return n, err
}

func secretsOf(b any, secrets [][]byte) ([][]byte, error) {
	if len(secrets) > 0 {
		return secrets, nil
	}
	if keeper, ok := b.(SecretKeeper); ok {
		return [][]byte{keeper.RetrySecret()}, nil
	}
	return nil, errors.New("parley: this broker has no secret for the retry history: give the consumer's")
}
