package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// Subscribe implements parley.Subscriber: on a channel of its own, with manual
// acknowledgements and a prefetch of its own.
func (b *Broker) Subscribe(ctx context.Context, queue string, o parley.SubscribeOptions) (parley.Subscription, error) {
	if o.Prefetch < 1 || o.Prefetch > 65535 {
		return nil, fmt.Errorf("rabbitmq: subscribe to queue %q: prefetch %d must be 1 to 65535", queue, o.Prefetch)
	}
	s, err := b.consume.session(ctx)
	if err != nil {
		return nil, err
	}
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: subscribe to queue %q: open channel: %w", queue, err)
	}
	sub := &subscription{
		b: b, conn: s.conn, ch: ch, queue: queue,
		closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
		work:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
	}
	if sub.deliveries, err = sub.open(o); err != nil {
		return nil, errors.Join(fmt.Errorf("rabbitmq: subscribe: %w", topologyError("queue", queue, err)), closeChannel(ch))
	}
	b.wg.Go(sub.settle)
	return sub, nil
}

func (s *subscription) open(o parley.SubscribeOptions) (<-chan amqp.Delivery, error) {
	if err := s.ch.Qos(o.Prefetch, 0, false); err != nil {
		return nil, err
	}
	return s.ch.Consume(s.queue, o.Tag, false, false, false, false, nil)
}

func closeChannel(ch *amqp.Channel) error {
	if err := ch.Close(); err != nil && !errors.Is(err, amqp.ErrClosed) {
		return err
	}
	return nil
}

// A subscription is one consumer on one channel. Its deliveries are settled on that
// channel, or, after it has ended, not at all.
type subscription struct {
	b          *Broker
	conn       *amqp.Connection
	ch         *amqp.Channel
	queue      string
	deliveries <-chan amqp.Delivery
	closed     <-chan *amqp.Error
	work       chan struct{} // has an item when there is something to settle
	ended      chan struct{} // closed when settle has returned

	mu       sync.Mutex // guards the fields below
	acks     []uint64   // to be sent
	requeues []uint64   // to be sent
	stopping bool
	dead     bool

	low     uint64              // all tags up to here are settled; belongs to settle
	settled map[uint64]struct{} // settled above low; belongs to settle
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
			return nil, s.lost()
		}
		return s.delivery(&d), nil
	}
}

// lost says why the deliveries have ended: the library closes them silently when the
// queue is deleted, with channel and connection still open.
func (s *subscription) lost() error {
	s.mu.Lock()
	s.dead = true
	s.mu.Unlock()
	select {
	case cause := <-s.closed:
		if cause != nil {
			return fmt.Errorf("%w: queue %q: %w", parley.ErrSubscriptionLost, s.queue, cause)
		}
		return fmt.Errorf("%w: queue %q: connection closed", parley.ErrSubscriptionLost, s.queue)
	case <-time.After(100 * time.Millisecond):
		return fmt.Errorf("%w: queue %q: cancelled by the broker (was it deleted?)", parley.ErrSubscriptionLost, s.queue)
	}
}

func (s *subscription) delivery(d *amqp.Delivery) *parley.Delivery {
	m := parley.Message{
		Exchange:        d.Exchange,
		RoutingKey:      d.RoutingKey,
		ID:              d.MessageId,
		Kind:            parley.Kind(d.Type),
		AppID:           d.AppId,
		CorrelationID:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		Timestamp:       d.Timestamp,
		Body:            d.Body,
	}
	if len(d.Headers) > 0 {
		m.Headers, _ = fromAMQP(d.Headers).(map[string]any)
	}
	return parley.NewDelivery(m, s.queue, d.Redelivered, acknowledger{s, d.DeliveryTag})
}

// acknowledger settles the delivery with one tag.
type acknowledger struct {
	s   *subscription
	tag uint64
}

// Settle implements parley.Acknowledger. The broker is told a moment later, together
// with other settlements.
func (a acknowledger) Settle(how parley.Settlement) error {
	s := a.s
	s.mu.Lock()
	if s.dead || s.stopping || s.ch.IsClosed() {
		s.mu.Unlock()
		if s.b.cfg.Hooks.StaleAck != nil {
			s.b.cfg.Hooks.StaleAck()
		}
		return parley.ErrStale
	}
	if how == parley.Requeue {
		s.requeues = append(s.requeues, a.tag)
	} else {
		s.acks = append(s.acks, a.tag)
	}
	s.mu.Unlock()
	select {
	case s.work <- struct{}{}:
	default: // it is awake already
	}
	return nil
}

// settle tells the broker what has been settled: while it sends one batch the next comes
// together, so a busy consumer acknowledges many deliveries with one frame and an
// idle one at once.
func (s *subscription) settle() {
	defer close(s.ended)
	s.settled = map[uint64]struct{}{}
	for range s.work {
		s.mu.Lock()
		acks, requeues, stopping := s.acks, s.requeues, s.stopping
		s.acks, s.requeues = nil, nil
		s.mu.Unlock()
		if err := s.send(acks, requeues); err != nil {
			s.b.cfg.Logger.Debug("rabbitmq: settlements lost with their session", "queue", s.queue, "err", err)
		}
		if stopping {
			return
		}
	}
}

// send acknowledges. An ack with multiple=true covers all lower tags, so it is used only
// up to where every tag is settled.
func (s *subscription) send(acks, requeues []uint64) error {
	for _, tag := range requeues {
		if err := s.ch.Nack(tag, false, true); err != nil {
			return err
		}
		s.settled[tag] = struct{}{}
	}
	slices.Sort(acks)
	for _, tag := range acks {
		s.settled[tag] = struct{}{}
	}
	before := s.low
	for {
		if _, ok := s.settled[s.low+1]; !ok {
			break
		}
		s.low++
		delete(s.settled, s.low)
	}
	rest, _ := slices.BinarySearch(acks, s.low+1)
	if rest > 0 {
		if err := s.ch.Ack(acks[rest-1], s.low > before); err != nil {
			return err
		}
	}
	for _, tag := range acks[rest:] {
		if err := s.ch.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}

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
	select {
	case s.work <- struct{}{}:
	default: // it is awake already, and will see that it is stopping
	}
	done := make(chan error, 1)
	s.b.wg.Go(func() {
		<-s.ended
		done <- closeChannel(s.ch)
	})
	timeout := time.NewTimer(3 * time.Second)
	defer timeout.Stop()
	select {
	case err := <-done:
		return err
	case <-timeout.C: // the broker hangs: its connection is of no use to anybody
		return errors.Join(errors.New("rabbitmq: channel does not close"), s.conn.CloseDeadline(time.Now()))
	}
}
