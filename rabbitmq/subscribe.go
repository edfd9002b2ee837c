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
	if err == nil {
		err = b.refuseStream(ctx, s, queue)
	}
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
		joined:    make(chan (<-chan amqp.Delivery), 1),
		work:      make(chan struct{}, 1),
		ended:     make(chan struct{}),
		inHand:    map[uint64]struct{}{},
	}
	if sub.tag == "" {
		sub.tag = fmt.Sprintf("%.100s-%d", b.cfg.Name, b.consumers.Add(1))
	}
	prefetch := o.Prefetch
	if o.First > 0 && o.First < o.Prefetch {
		prefetch, sub.first, sub.rest = o.First, o.First, o.Prefetch-o.First
	}
	if sub.deliveries, err = sub.consume("", prefetch); err == nil && !b.spawn(sub.settle) {
		err = parley.ErrClosed
	}
	if err != nil {
		return nil, errors.Join(topologyError("queue", queue, err), closeChannel(ch))
	}
	b.silent.Store(false)
	b.spawn(sub.leaveIsolated)
	return sub, nil
}

func closeChannel(ch *amqp.Channel) error { return ignoreClosed(ch.Close()) }

// A subscription is a channel with one consumer, or two: see grow. Its deliveries are settled on that
// channel, or, after the channel has ended, not at all.
type subscription struct {
	b      *Broker
	s      *session
	ch     *amqp.Channel
	queue  string
	tag    string // of the first consumer; further consumers add a suffix
	shared bool   // the queue has no single active consumer

	closed    <-chan *amqp.Error
	cancelled <-chan string
	joined    chan (<-chan amqp.Delivery) // has an item when there is a second consumer
	work      chan struct{}               // has an item when there is something to settle
	ended     chan struct{}               // closed when settle has returned

	// The fields of Next:
	deliveries <-chan amqp.Delivery
	more       <-chan amqp.Delivery     // of the second consumer, or nil
	early      map[uint64]amqp.Delivery // received before a lower tag of the other consumer
	checked    bool                     // the queue is not a stream, although a header says so

	mu       sync.Mutex // guards the fields below
	acks     []uint64   // to be sent
	requeues []uint64   // to be sent
	stopping bool
	dead     bool
	spare    []uint64            // the last batch of acks, to be reused
	last     uint64              // the tag that Next returned last; the broker increments tags
	inHand   map[uint64]struct{} // tags up to last that are not settled, or not yet sent
	fresh    int                 // consecutive deliveries up to last that were not redelivered

	// The fields of settle:
	low         uint64 // all tags up to here are settled
	sent        int    // settlements
	first, rest int    // the prefetch of the first consumer, and what a second one adds: see mayGrow
}

// consume adds a consumer; its tag is that of the subscription with a suffix.
func (s *subscription) consume(ending string, prefetch int) (<-chan amqp.Delivery, error) {
	if err := s.ch.Qos(prefetch, 0, false); err != nil { // it applies to the consumers that are added after it
		return nil, err
	}
	tag := s.tagWith(ending)
	return s.ch.Consume(s.queue, tag, false, false, false, false, nil)
}

// tagWith returns the tag of a further consumer. AMQP allows 255 bytes.
func (s *subscription) tagWith(ending string) string {
	return s.tag[:min(len(s.tag), 255-len(ending))] + ending
}

// mayGrow reports whether the prefetch may be raised. As many deliveries as the first consumer may hold must have been settled,
// and as many in a row must not be redeliveries. Before that, processes might crash one after another on the same deliveries,
// and a quorum queue with a delivery limit drops a message that was delivered too often.
func (s *subscription) mayGrow() bool {
	if s.rest == 0 || s.sent < s.first {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh >= s.first
}

// grow adds a second consumer with the remaining prefetch, because the prefetch of the first cannot be raised. With a single
// active consumer the second one would get nothing while the first exists, so the prefetch is not raised. On a shared
// queue the second consumer replaces the first, so that the queue counts one consumer for each subscription. The
// deliveries that the first one holds make up the rest of the prefetch.
func (s *subscription) grow() {
	more, err := s.consume(restEnding, s.rest)
	s.rest = 0
	if err != nil {
		// The channel has ended, and the subscription with it: Next returns the error.
		s.b.cfg.Logger.Debug("rabbitmq: raising the prefetch failed", "queue", s.queue, "err", err)
		return
	}
	s.joined <- more
	if s.shared {
		if err := s.ch.Cancel(s.tag, false); err != nil {
			s.b.cfg.Logger.Debug("rabbitmq: ending the first consumer failed", "queue", s.queue, "err", err)
		}
	}
}

// The suffixes of the tags of further consumers.
const (
	restEnding    = ".rest"
	barrierEnding = ".end"
)

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
		if err := s.refuseStream(ctx, &d); err != nil {
			return nil, err
		}
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
	case s.more = <-s.joined:
		return d, false, nil
	case d, open = <-s.deliveries:
	case d, open = <-s.more:
	}
	if !open && s.replaced() {
		return d, false, nil
	}
	if !open {
		return d, false, fmt.Errorf("rabbitmq: %w: queue %q: %w", parley.ErrSubscriptionLost, s.queue, s.lost())
	}
	if d.DeliveryTag == s.last+1 {
		return d, true, nil
	}
	// The broker numbers the deliveries of both consumers in one sequence, in the order of the queue.
	if s.early == nil {
		s.early = map[uint64]amqp.Delivery{}
	}
	s.early[d.DeliveryTag] = d
	return d, false, nil
}

// replaced reports whether the first consumer has ended because the second one has replaced it. It is called when deliveries
// have ended.
func (s *subscription) replaced() bool {
	if !s.shared || s.deliveries == nil {
		return false
	}
	if s.more == nil {
		select {
		case s.more = <-s.joined:
		default:
			return false
		}
	}
	s.deliveries = nil // if the channel has ended, the other deliveries end too
	return true
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
// acks before it, and answers. The consumers of this subscription are cancelled only on a queue that is known to have several.
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
		for _, ending := range s.endings() {
			err = errors.Join(err, s.ch.Cancel(s.tagWith(ending), false))
		}
	} else if _, err = s.consume(barrierEnding, 1); err == nil {
		err = s.ch.Cancel(s.tagWith(barrierEnding), false)
	}
	if err != nil { // the channel has ended: the broker redelivers all deliveries without a received ack
		s.b.cfg.Logger.Debug("rabbitmq: waiting for sent acks failed, messages may be redelivered", "queue", s.queue, "err", err)
	}
}

// endings returns the suffixes of the tags of all consumers. It may be called only after settle has ended.
func (s *subscription) endings() []string {
	if s.first > 0 && s.rest == 0 {
		return []string{"", restEnding}
	}
	return []string{""}
}
