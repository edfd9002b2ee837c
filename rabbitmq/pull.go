package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

var _ parley.QueuePuller = (*Broker)(nil)

// Pull implements parley.QueuePuller, on a channel of its own.
func (b *Broker) Pull(ctx context.Context, queue string) (parley.Puller, error) {
	if len(queue) > 255 {
		return nil, fmt.Errorf("rabbitmq: pull from queue %.80q…: its name is longer than the 255 bytes that AMQP allows", queue)
	}
	s, err := b.consume.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: pull from queue %q: %w", queue, err)
	}
	ch, err := callWithContext(ctx, b, s.conn.Channel, func(late *amqp.Channel) { _ = closeChannel(late) })
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: pull from queue %q: open channel: %w", queue, err)
	}
	return &puller{b: b, ch: ch, queue: queue}, nil
}

// A puller gets messages one by one (AMQP 0-9-1, basic.get). Settlements are sent at once.
type puller struct {
	b     *Broker
	ch    *amqp.Channel
	queue string
	acks  atomic.Int64 // since the last basic.get; a requeue that is lost is repeated by the end of the channel
}

// unprovenAcks is how many acks a puller may send before it closes its channel, without a basic.get after them. RabbitMQ sends up to 33 to a
// quorum queue (quorum_commands_soft_limit, 32). It holds back the others until the queue has answered, and drops them when the channel closes.
const unprovenAcks = 16

// Next implements parley.Puller.
func (p *puller) Next(ctx context.Context) (*parley.Delivery, int, error) {
	d, err := callWithContext(ctx, p.b, p.get, nil) // a late message is requeued when the channel closes
	switch {
	case errors.Is(err, amqp.ErrClosed):
		return nil, 0, fmt.Errorf("rabbitmq: %w: queue %q: connection closed", parley.ErrSubscriptionLost, p.queue)
	case err != nil:
		return nil, 0, fmt.Errorf("rabbitmq: pull from queue %q: %w", p.queue, topologyError("queue", p.queue, err))
	case d == nil:
		return nil, 0, nil
	}
	return parley.NewDelivery(fromDelivery(d), p.queue, d.Redelivered, pulled{p, d.DeliveryTag}), int(d.MessageCount), nil
}

// get returns the next message, or nil if there is none. The queue handles it after the acks before it, and answers.
func (p *puller) get() (*amqp.Delivery, error) {
	before := p.acks.Load()
	d, ok, err := p.ch.Get(p.queue, false)
	if err != nil {
		return nil, err
	}
	p.acks.Add(-before)
	if !ok {
		return nil, nil
	}
	return &d, nil
}

// Close implements parley.Puller.
func (p *puller) Close() error {
	_, err := callWithContext(context.Background(), p.b, func() (struct{}, error) {
		return struct{}{}, p.close()
	}, nil)
	if err != nil && !errors.Is(err, parley.ErrClosed) {
		return fmt.Errorf("rabbitmq: close puller of queue %q: %w", p.queue, err)
	}
	return nil
}

// close closes the channel. Before, it waits until the queue has received the acks, if they are so many that RabbitMQ may hold them back.
// No other request does that: RabbitMQ answers a passive declaration or basic.qos before it sends the acks on. If get
// returns a message, that returns to the queue when the channel closes.
func (p *puller) close() (err error) {
	if p.acks.Load() > unprovenAcks {
		_, err = p.get()
	}
	if err == nil && p.ch.IsClosed() {
		err = amqp.ErrClosed
	}
	if closing := p.ch.Close(); err == nil {
		err = closing
	}
	switch {
	case err == nil, p.acks.Load() == 0:
		return ignoreClosed(err)
	case errors.Is(err, amqp.ErrClosed):
		err = errors.New("connection closed")
	}
	return fmt.Errorf("%w: %w (acked messages may be redelivered)", parley.ErrSubscriptionLost, err)
}

// A pulled delivery is settled by its delivery tag.
type pulled struct {
	p   *puller
	tag uint64
}

// Settle implements parley.Acknowledger.
func (d pulled) Settle(how parley.Settlement) error {
	if d.p.ch.IsClosed() {
		return parley.ErrStale
	}
	if how == parley.SettleRequeue {
		return ignoreClosed(d.p.ch.Nack(d.tag, false, true))
	}
	d.p.acks.Add(1)
	if err := d.p.ch.Ack(d.tag, false); err != nil {
		return fmt.Errorf("%w: %w", parley.ErrStale, err)
	}
	return nil
}
