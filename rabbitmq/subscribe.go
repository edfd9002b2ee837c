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

// Subscribe implements parley.Subscriber. Each subscription has a channel of its own, manual
// acknowledgements and its own prefetch.
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
	return callWithContext(ctx, b, func() (*subscription, error) { return b.openSubscription(s, queue, o) },
		func(late *subscription) { _ = late.Close() })
}

func (b *Broker) openSubscription(s *session, queue string, o parley.SubscribeOptions) (*subscription, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	sub := &subscription{
		b: b, s: s, ch: ch, queue: queue, tag: o.Tag, shared: o.SharedQueue,
		closed:    ch.NotifyClose(make(chan *amqp.Error, 1)),
		cancelled: ch.NotifyCancel(make(chan string, 2)),
		work:      make(chan struct{}, 1),
		ended:     make(chan struct{}),
		inHand:    map[uint64]struct{}{},
	}
	if sub.tag == "" {
		sub.tag = fmt.Sprintf("%.100s-%d", b.cfg.Name, b.consumers.Add(1))
	}
	sub.prefetch = o.Prefetch
	if o.SharedQueue && o.First > 0 && o.First < o.Prefetch {
		sub.prefetch, sub.first, sub.rest = o.First, o.First, o.Prefetch-o.First
	}
	if sub.deliveries, err = sub.consume("", sub.prefetch); err == nil && !b.spawn(sub.settle) {
		err = parley.ErrClosed
	}
	if err != nil {
		return nil, errors.Join(consumeError(queue, err), closeChannel(ch))
	}
	b.silent.Store(false)
	b.spawn(sub.leaveIsolated)
	return sub, nil
}

func closeChannel(ch *amqp.Channel) error { return ignoreClosed(ch.Close()) }

// A subscription is a channel with one consumer, which is replaced to raise the prefetch: see replace. Its deliveries are settled
// on that channel, or, after the channel has ended, not at all.
type subscription struct {
	b      *Broker
	s      *session
	ch     *amqp.Channel
	queue  string
	tag    string // of the first consumer; further consumers add a suffix
	shared bool   // the queue has no single active consumer

	closed    <-chan *amqp.Error
	cancelled <-chan string
	work      chan struct{} // has an item when settle has something to do
	ended     chan struct{} // closed when settle has returned

	// The fields of Next:
	deliveries <-chan amqp.Delivery     // of the oldest consumer that has not ended
	early      map[uint64]amqp.Delivery // received before a lower tag of a later consumer

	mu       sync.Mutex             // guards the fields below
	later    []<-chan amqp.Delivery // of the consumers that have replaced it, oldest first
	prefetch int                    // of the newest consumer
	raises   int                    // requested, not yet carried out
	acks     []uint64               // to be sent
	requeues []uint64               // to be sent
	stopping bool
	dead     bool
	spare    []uint64            // the last batch of acks, to be reused
	last     uint64              // the tag that Next returned last; the broker increments tags
	inHand   map[uint64]struct{} // tags up to last that are not settled, or not yet sent
	fresh    int                 // consecutive deliveries up to last that were not redelivered

	// The fields of settle:
	low         uint64 // all tags up to here are settled
	sent        int    // settlements
	first, rest int    // the prefetch at the start, and the one after it: see mayGrow
	ending      string // the suffix of the tag of the newest consumer
	consumers   int    // that have replaced another one
}

// Next implements parley.Subscription.
func (s *subscription) Next(ctx context.Context) (*parley.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, ok := s.early[s.last+1]
		if !ok {
			var err error
			if d, ok, err = s.receive(ctx); err != nil {
				return nil, err
			}
		}
		if !ok {
			continue
		}
		delete(s.early, d.DeliveryTag)
		s.s.useful.Store(true)
		s.mu.Lock()
		s.last = d.DeliveryTag
		s.inHand[d.DeliveryTag] = struct{}{}
		s.fresh++
		if d.Redelivered {
			s.fresh = 0
		}
		s.mu.Unlock()
		return parley.NewDelivery(fromDelivery(&d), s.queue, d.Redelivered, acknowledger{s, d.DeliveryTag}), nil
	}
}

// receive waits for the next event. ok reports whether d is the next delivery of the channel.
func (s *subscription) receive(ctx context.Context) (d amqp.Delivery, ok bool, err error) {
	var open bool
	select {
	case <-ctx.Done():
		return d, false, ctx.Err()
	case d, open = <-s.deliveries:
	}
	if !open && s.follow() {
		return d, false, nil
	}
	if !open {
		return d, false, fmt.Errorf("rabbitmq: %w: queue %q: %w", parley.ErrSubscriptionLost, s.queue, s.lost())
	}
	if d.DeliveryTag == s.last+1 {
		return d, true, nil
	}
	// The broker numbers the deliveries of all consumers in one sequence, in the order of the queue.
	if s.early == nil {
		s.early = map[uint64]amqp.Delivery{}
	}
	s.early[d.DeliveryTag] = d
	return d, false, nil
}

// lost returns why the deliveries have ended. When the queue is deleted, the library ends
// the deliveries while channel and connection are still open.
func (s *subscription) lost() error {
	s.mu.Lock()
	s.dead = true
	stopping := s.stopping
	s.mu.Unlock()
	select {
	case <-s.cancelled: // written before the deliveries end; closed with the channel
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
			return stripReplyCode(cause)
		}
	case <-time.After(time.Second): // the reason arrives right before or after the deliveries end
	}
	return errors.New("connection closed")
}

// answerTimeout is how long the broker may take to answer when a subscription is closed. Close runs after the shutdown timeout
// of the handlers, so it must be short.
const answerTimeout = time.Second

// Close implements parley.Subscription. RabbitMQ drops acks of a quorum queue that are in transit when the channel
// closes, and redelivers their messages. So Close first waits until the queue has received them.
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
		s.flush()
		done <- closeChannel(s.ch)
	})
	if !ok {
		return nil // Broker.Close closes this channel
	}
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("rabbitmq: close subscription to queue %q: %w", s.queue, err)
		}
		return nil
	case <-timeout.C: // the broker does not respond: close its connection
		s.b.silent.Store(true)
		s.b.consume.drop(s.s)
		err := ignoreClosed(s.s.conn.CloseDeadline(time.Now()))
		return errors.Join(fmt.Errorf("rabbitmq: close subscription to queue %q: the broker does not answer", s.queue), err)
	}
}

// flush waits until the queue has received the acks that were sent. A queue handles the cancellation of a consumer after the
// acks before it, and answers. The consumer of this subscription is cancelled only on a queue that is known to have several.
// With a single active consumer, the next one must not start while deliveries of this one are unsettled. There flush adds
// a further consumer and cancels it. That consumer gets at most one delivery, or none with a single active consumer.
func (s *subscription) flush() {
	s.mu.Lock()
	dead := s.dead
	s.mu.Unlock()
	if s.sent == 0 || dead || s.ch.IsClosed() {
		return
	}
	var err error
	if s.shared {
		err = s.ch.Cancel(s.tagWith(s.ending), false)
	} else if _, err = s.consume(barrierEnding, 1); err == nil {
		err = s.ch.Cancel(s.tagWith(barrierEnding), false)
	}
	if err != nil { // the channel has ended: the broker redelivers all deliveries without a received ack
		s.b.cfg.Logger.Debug("rabbitmq: waiting for sent acks failed, messages may be redelivered", "queue", s.queue, "err", err)
	}
}
