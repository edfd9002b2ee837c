package parley

import (
	"context"
	"fmt"
	"math"
	"time"
)

// A QueuePuller is a Broker that delivers single messages on request, without a subscription (AMQP 0-9-1, basic.get). It never
// has more unacked messages than were requested: a quorum queue counts each return of a message. Only Close may get, and return, one
// more after many settlements.
type QueuePuller interface {
	// Pull starts pulling messages from a queue. Without a connection it waits for one.
	Pull(ctx context.Context, queue string) (Puller, error)
}

// A Puller pulls messages from the head of one queue, on one broker session. It is not for concurrent use.
type Puller interface {
	// Next returns the next message and how many are ready behind it; nil if the queue is empty.
	Next(ctx context.Context) (d *Delivery, behind int, err error)
	// Close ends the pulling. All settlements made before Close reach the broker first; unsettled deliveries
	// return to the queue.
	Close() error
}

// pull pulls messages from a queue of any broker. single reports whether only one message may be unacked at a time.
func pull(ctx context.Context, b Broker, queue string) (p Puller, single bool, err error) {
	if puller, ok := b.(QueuePuller); ok {
		p, err = puller.Pull(ctx, queue)
		return p, false, err
	}
	left := math.MaxInt
	if n, ok := countMessages(ctx, b, queue); ok {
		left = n
	}
	sub, err := b.Subscribe(ctx, queue, SubscribeOptions{Prefetch: 1})
	if err != nil {
		return nil, true, err
	}
	return &subscriptionPuller{Subscription: sub, left: left}, true, nil
}

// A subscriptionPuller pulls from brokers that only have subscriptions. The broker sends the next message
// as soon as one is settled: one more than requested.
type subscriptionPuller struct {
	Subscription
	left int
}

// Next returns nil when no further message arrives for a second: a subscription does not report the end of a queue.
func (p *subscriptionPuller) Next(ctx context.Context) (*Delivery, int, error) {
	if p.left <= 0 {
		return nil, 0, nil
	}
	next, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	d, err := p.Subscription.Next(next)
	if err != nil {
		if ctx.Err() == nil && next.Err() != nil {
			err = nil
		}
		return nil, 0, err
	}
	p.left--
	return d, p.left, nil
}

// A queueCounter is a broker that can count the messages in a queue.
type queueCounter interface {
	QueueLen(ctx context.Context, queue string) (messages, consumers int, err error)
}

// countMessages avoids the wait at the end of a queue that has no other consumer.
func countMessages(ctx context.Context, b Broker, queue string) (n int, ok bool) {
	counter, ok := b.(queueCounter)
	if !ok {
		return 0, false
	}
	n, consumers, err := counter.QueueLen(ctx, queue)
	return n, err == nil && consumers == 0
}

// secretsOf returns the given secrets, or the broker's own.
func secretsOf(b any, secrets [][]byte) ([][]byte, error) {
	if len(secrets) > 0 {
		return secrets, nil
	}
	if keeper, ok := b.(SecretKeeper); ok {
		if secret := keeper.RetrySecret(); len(secret) > 0 {
			return [][]byte{secret}, nil
		}
	}
	return nil, fmt.Errorf("parley: this broker has no secret for the retry history: give the consumer's")
}
