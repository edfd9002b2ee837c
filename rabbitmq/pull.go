package rabbitmq

import (
	"context"
	"errors"
	"fmt"

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
}

// Next implements parley.Puller.
func (p *puller) Next(ctx context.Context) (*parley.Delivery, int, error) {
	d, err := callWithContext(ctx, p.b, func() (*amqp.Delivery, error) {
		d, ok, err := p.ch.Get(p.queue, false)
		if err != nil || !ok {
			return nil, err
		}
		return &d, nil
	}, nil) // a late message is requeued when the channel closes
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

// Close implements parley.Puller.
func (p *puller) Close() error {
	_, err := callWithContext(context.Background(), p.b, func() (struct{}, error) { return struct{}{}, closeChannel(p.ch) }, nil)
	if err != nil && !errors.Is(err, parley.ErrClosed) {
		return fmt.Errorf("rabbitmq: close puller of queue %q: %w", p.queue, err)
	}
	return nil
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
	if err := d.p.ch.Ack(d.tag, false); err != nil {
		return fmt.Errorf("%w: %w", parley.ErrStale, err)
	}
	return nil
}
