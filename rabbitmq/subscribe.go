package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// Subscribe implements parley.Subscriber: on a channel of its own, with manual
// acknowledgements and a prefetch of its own.
func (b *Broker) Subscribe(ctx context.Context, queue string, o parley.SubscribeOptions) (parley.Subscription, error) {
	sub, err := b.subscribe(ctx, queue, o)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: subscribe to queue %q: %w", queue, err)
	}
	return sub, nil
}

func (b *Broker) subscribe(ctx context.Context, queue string, o parley.SubscribeOptions) (*subscription, error) {
	if o.Prefetch < 1 || o.Prefetch > 65535 {
		return nil, fmt.Errorf("prefetch %d is not 1 to 65535", o.Prefetch)
	}
	if len(queue) > 255 || len(o.Tag) > 255 {
		return nil, errors.New("the queue's name or the tag is longer than the 255 bytes that AMQP allows")
	}
	s, err := b.consume.session(ctx)
	if err != nil {
		return nil, err
	}
	return within(ctx, b, func() (*subscription, error) { return b.openSubscription(s, queue, o) },
		func(late *subscription) { _ = late.Close() })
}

func (b *Broker) openSubscription(s *session, queue string, o parley.SubscribeOptions) (*subscription, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	sub := &subscription{
		b: b, s: s, ch: ch, queue: queue,
		closed:    ch.NotifyClose(make(chan *amqp.Error, 1)),
		cancelled: ch.NotifyCancel(make(chan string, 1)),
		work:      make(chan struct{}, 1),
		ended:     make(chan struct{}),
		inHand:    map[uint64]struct{}{},
	}
	if err = ch.Qos(o.Prefetch, 0, false); err == nil {
		sub.deliveries, err = ch.Consume(queue, o.Tag, false, false, false, false, nil)
	}
	if err == nil && !b.spawn(sub.settle) {
		err = parley.ErrClosed
	}
	if err != nil {
		return nil, errors.Join(topologyError("queue", queue, err), closeChannel(ch))
	}
	b.silent.Store(false)
	return sub, nil
}

func closeChannel(ch *amqp.Channel) error { return ignoreClosed(ch.Close()) }

// A subscription is one consumer on one channel. Its deliveries are settled on that
// channel, or, after it has ended, not at all.
type subscription struct {
	b          *Broker
	s          *session
	ch         *amqp.Channel
	queue      string
	deliveries <-chan amqp.Delivery
	closed     <-chan *amqp.Error
	cancelled  <-chan string
	work       chan struct{} // has an item when there is something to settle
	ended      chan struct{} // closed when settle has returned

	mu       sync.Mutex // guards the fields below
	acks     []uint64   // to be sent
	requeues []uint64   // to be sent
	stopping bool
	dead     bool
	spare    []uint64            // the last batch of acks, to be used again
	last     uint64              // the tag that Next returned last; the broker counts them up
	inHand   map[uint64]struct{} // tags up to last that are not settled, or not yet sent

	low uint64 // all tags up to here are settled; belongs to settle
}

// Next implements parley.Subscription.
func (s *subscription) Next(ctx context.Context) (*parley.Delivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case d, ok := <-s.deliveries:
		if !ok {
			return nil, fmt.Errorf("rabbitmq: %w: queue %q: %w", parley.ErrSubscriptionLost, s.queue, s.lost())
		}
		s.s.useful.Store(true)
		s.mu.Lock()
		s.last = d.DeliveryTag
		s.inHand[d.DeliveryTag] = struct{}{}
		s.mu.Unlock()
		return parley.NewDelivery(fromDelivery(&d), s.queue, d.Redelivered, acknowledger{s, d.DeliveryTag}), nil
	}
}

// lost says why the deliveries have ended. When the queue is deleted, the library ends
// them with channel and connection still open.
func (s *subscription) lost() error {
	s.mu.Lock()
	s.dead = true
	stopping := s.stopping
	s.mu.Unlock()
	select {
	case <-s.cancelled: // told before the deliveries end; closed when the channel is
		if !s.ch.IsClosed() {
			return errors.New("cancelled by the broker (was the queue deleted?)")
		}
	default:
	}
	if stopping {
		return parley.ErrClosed
	}
	select {
	case cause := <-s.closed:
		if cause != nil {
			return plain(cause)
		}
	case <-time.After(time.Second): // it is told right before or after the deliveries end
	}
	return errors.New("connection closed")
}

// answerTimeout is how long the broker may take to answer the end of a subscription. It comes after the grace of the
// handlers, when a supervisor is about to lose its patience.
const answerTimeout = time.Second

// Close implements parley.Subscription. It closes the channel without cancelling the
// consumer first: with a single active consumer the next one must not start while
// deliveries of this one are unsettled.
func (s *subscription) Close() error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil
	}
	s.stopping = true
	s.mu.Unlock()
	s.wake()
	done := make(chan error, 1)
	ok := s.b.spawn(func() {
		<-s.ended
		done <- closeChannel(s.ch)
	})
	if !ok {
		return nil // the broker is closing, and this channel with it
	}
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("rabbitmq: close subscription to queue %q: %w", s.queue, err)
		}
		return nil
	case <-timeout.C: // the broker hangs: its connection is of no use to anybody
		s.b.silent.Store(true)
		s.b.consume.drop(s.s)
		err := ignoreClosed(s.s.conn.CloseDeadline(time.Now()))
		return errors.Join(fmt.Errorf("rabbitmq: close subscription to queue %q: the broker does not answer", s.queue), err)
	}
}
