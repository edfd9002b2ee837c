package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// A queue holds messages until they are acknowledged. The broker's mutex guards it.
type queue struct {
	parley.Queue
	broker    *Broker
	entries   []*entry // waiting, in order; entries[:head] are taken
	head      int
	next      int64 // position of the next new message
	consumers []*subscription
	turn      int
	expiry    *time.Timer
}

type entry struct {
	message     parley.Message
	position    int64
	expires     time.Time
	redelivered bool
}

func (q *queue) waiting() []*entry { return q.entries[q.head:] }

func (q *queue) len() int { return len(q.entries) - q.head }

// push appends a new message and hands out what consumers can take.
func (q *queue) push(e *entry) {
	e.position = q.next
	q.next++
	if q.TTL > 0 {
		e.expires = time.Now().Add(q.TTL)
	}
	q.entries = append(q.entries, e)
	q.dispatch()
	q.schedule()
}

// restore puts unsettled messages back where they were.
func (q *queue) restore(back []*entry) {
	for _, e := range back {
		e.redelivered = true
	}
	waiting := append(back, q.waiting()...)
	slices.SortStableFunc(waiting, func(a, b *entry) int { return cmp.Compare(a.position, b.position) })
	q.entries, q.head = waiting, 0
	q.dispatch()
	q.schedule()
}

func (q *queue) pop() *entry {
	e := q.entries[q.head]
	q.entries[q.head] = nil
	q.head++
	if q.head > 1024 && q.head*2 > len(q.entries) {
		q.entries = append([]*entry(nil), q.waiting()...)
		q.head = 0
	}
	return e
}

// dispatch gives waiting messages to consumers with room, in turn.
func (q *queue) dispatch() {
	for q.len() > 0 {
		s := q.free()
		if s == nil {
			return
		}
		s.give(q.pop())
	}
}

func (q *queue) free() *subscription {
	for range q.consumers {
		q.turn = (q.turn + 1) % len(q.consumers)
		if s := q.consumers[q.turn]; len(s.unsettled) < s.prefetch {
			return s
		}
	}
	return nil
}

// schedule arms the timer for the first message that expires: as in RabbitMQ, only
// the head of a queue expires.
func (q *queue) schedule() {
	if q.TTL <= 0 || q.len() == 0 || q.expiry != nil {
		return
	}
	wait := time.Until(q.entries[q.head].expires)
	q.expiry = time.AfterFunc(max(wait, 0), func() {
		q.broker.mu.Lock()
		defer q.broker.mu.Unlock()
		q.expiry = nil
		q.expire()
	})
}

func (q *queue) expire() {
	now := time.Now()
	for q.len() > 0 && !q.entries[q.head].expires.After(now) {
		e := q.pop()
		if target := q.broker.queues[q.DeadLetterTo]; q.DeadLetterTo != "" && target != nil {
			m := e.message
			m.Exchange, m.RoutingKey = "", q.DeadLetterTo
			target.push(&entry{message: m})
		}
	}
	q.schedule()
}

func (b *Broker) deleteQueue(q *queue) {
	delete(b.queues, q.Name)
	if q.expiry != nil {
		q.expiry.Stop()
	}
	for _, s := range slices.Clone(q.consumers) {
		s.end(fmt.Errorf("%w: queue %q was deleted", parley.ErrSubscriptionLost, q.Name))
	}
	for name, ex := range b.exchanges {
		ex.unbind(q)
		if ex.AutoDelete && len(ex.bindings) == 0 {
			delete(b.exchanges, name)
		}
	}
}

// A subscription hands out the messages of one queue. The broker's mutex guards it.
type subscription struct {
	broker    *Broker
	queue     *queue
	prefetch  int
	ready     []*parley.Delivery
	unsettled map[*entry]struct{}
	arrived   chan struct{} // has an item when ready or err may be set
	err       error
}

// Subscribe implements parley.Subscriber.
func (b *Broker) Subscribe(ctx context.Context, name string, o parley.SubscribeOptions) (parley.Subscription, error) {
	if o.Prefetch < 1 || o.Prefetch > 65535 {
		return nil, fmt.Errorf("subscribe to queue %q: prefetch %d must be 1 to 65535", name, o.Prefetch)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	if b.closed {
		return nil, parley.ErrClosed
	}
	if q == nil {
		return nil, missing("queue", name)
	}
	s := &subscription{broker: b, queue: q, prefetch: o.Prefetch, unsettled: map[*entry]struct{}{}, arrived: make(chan struct{}, 1)}
	q.consumers = append(q.consumers, s)
	q.dispatch()
	return s, nil
}

func (s *subscription) give(e *entry) {
	s.unsettled[e] = struct{}{}
	m := e.message
	d := parley.NewDelivery(m, s.queue.Name, e.redelivered, &acknowledger{s, e})
	s.ready = append(s.ready, d)
	s.signal()
}

func (s *subscription) signal() {
	select {
	case s.arrived <- struct{}{}:
	default: // one signal is waiting already
	}
}

// end closes the subscription: what is not settled goes back.
func (s *subscription) end(cause error) {
	if s.err != nil {
		return
	}
	s.err = cause
	q := s.queue
	q.consumers = slices.DeleteFunc(q.consumers, func(c *subscription) bool { return c == s })
	back := make([]*entry, 0, len(s.unsettled))
	for e := range s.unsettled {
		back = append(back, e)
	}
	s.ready, s.unsettled = nil, nil
	q.restore(back)
	if q.Exclusive && len(q.consumers) == 0 {
		s.broker.deleteQueue(q)
	}
	s.signal()
}

// Next implements parley.Subscription.
func (s *subscription) Next(ctx context.Context) (*parley.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.broker.mu.Lock()
		if s.err != nil {
			defer s.broker.mu.Unlock()
			return nil, s.err
		}
		if len(s.ready) > 0 {
			d := s.ready[0]
			s.ready = s.ready[1:]
			s.broker.mu.Unlock()
			return d, nil
		}
		s.broker.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-s.arrived:
		}
	}
}

// Close implements parley.Subscription.
func (s *subscription) Close() error {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.end(parley.ErrClosed)
	return nil
}

type acknowledger struct {
	s *subscription
	e *entry
}

// Settle implements parley.Acknowledger.
func (a *acknowledger) Settle(how parley.Settlement) error {
	b := a.s.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.s.err != nil {
		return parley.ErrStale
	}
	delete(a.s.unsettled, a.e)
	if how == parley.Requeue {
		a.s.queue.restore([]*entry{a.e})
		return nil
	}
	a.s.queue.dispatch()
	return nil
}
