package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/parley-go/parley"
)

// A subscription delivers the messages of one queue. The broker's mutex guards it.
type subscription struct {
	broker   *Broker
	queue    *queue
	prefetch int          // what the subscriber has chosen
	raised   int          // what RaisePrefetch has added
	inHand   int          // number of unsettled deliveries, ready ones included
	first    *unsettled   // the unsettled ones as a list, in the order of delivery
	last     *unsettled   //
	ready    []*unsettled // ready[taken:] wait for Next
	taken    int
	arrived  chan struct{} // has an item when ready or err may have changed
	err      error         // why the subscription ended
}

// An unsettled message is delivered and not settled. It is the Acknowledger of its delivery.
type unsettled struct {
	sub        *subscription
	entry      *entry
	again      bool // the entry had been delivered before; the flag changes when the subscription ends
	prev, next *unsettled
}

// Subscribe starts consuming a queue. It returns a *parley.TopologyError of code
// 404 if there is no such queue.
func (b *Broker) Subscribe(ctx context.Context, queue string, o parley.SubscribeOptions) (parley.Subscription, error) {
	if o.Prefetch < 1 || o.Prefetch > 65535 {
		return nil, &parley.InvalidError{What: "prefetch", Value: strconv.Itoa(o.Prefetch), Problem: "must be 1 to 65535"}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, parley.ErrClosed
	}
	q := b.queues[queue]
	if q == nil {
		return nil, fmt.Errorf("subscribe: %w", missing("queue", queue))
	}
	s := &subscription{broker: b, queue: q, prefetch: o.Prefetch, arrived: make(chan struct{}, 1)}
	q.consumers = append(q.consumers, s)
	q.dispatch()
	return s, nil
}

// give delivers a message to s.
func (s *subscription) give(e *entry) {
	u := &unsettled{sub: s, entry: e, again: e.redelivered, prev: s.last}
	if s.last == nil {
		s.first = u
	} else {
		s.last.next = u
	}
	s.last = u
	s.inHand++
	s.ready = append(s.ready, u)
	s.signal()
}

// take removes u from the unsettled messages of s.
func (s *subscription) take(u *unsettled) {
	if u.prev == nil {
		s.first = u.next
	} else {
		u.prev.next = u.next
	}
	if u.next == nil {
		s.last = u.prev
	} else {
		u.next.prev = u.prev
	}
	u.prev, u.next = nil, nil
	s.inHand--
}

func (s *subscription) signal() {
	select {
	case s.arrived <- struct{}{}:
	default: // Next is about to check anyway
	}
}

// end closes the subscription: unsettled messages return to the queue, in their order.
func (s *subscription) end(cause error) {
	for _, e := range s.leave(cause) {
		s.queue.restore(e)
	}
	s.queue.dispatch()
}

// leave closes the subscription and returns its unsettled messages.
func (s *subscription) leave(cause error) (left []*entry) {
	if s.err != nil {
		return nil
	}
	s.err = cause
	q := s.queue
	q.consumers = slices.DeleteFunc(q.consumers, func(c *subscription) bool { return c == s })
	for u := s.first; u != nil; u = u.next {
		left = append(left, u.entry)
	}
	s.first, s.last, s.ready, s.inHand = nil, nil, nil, 0
	s.signal()
	return left
}

// Next returns the next delivery; see [parley.Subscription].
func (s *subscription) Next(ctx context.Context) (*parley.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		u, err := s.nextReady()
		if err != nil {
			return nil, err
		}
		if u != nil {
			return u.delivery(), nil
		}
		select {
		case <-ctx.Done():
		case <-s.arrived:
		}
	}
}

// nextReady returns nil if nothing is ready.
func (s *subscription) nextReady() (*unsettled, error) {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if s.taken == len(s.ready) {
		s.ready, s.taken = s.ready[:0], 0
		return nil, nil
	}
	u := s.ready[s.taken]
	s.ready[s.taken] = nil
	s.taken++
	if s.taken >= 1024 && s.taken*2 >= len(s.ready) {
		n := copy(s.ready, s.ready[s.taken:])
		clear(s.ready[n:])
		s.ready, s.taken = s.ready[:n], 0
	}
	return u, nil
}

// delivery makes the receiver's own copy, because handlers may change it.
func (u *unsettled) delivery() *parley.Delivery {
	m := *u.entry.message
	m.Body = bytes.Clone(m.Body)
	m.Headers = cloneHeaders(m.Headers)
	return parley.NewDelivery(m, u.sub.queue.Name, u.again, u)
}

// RaisePrefetch implements [parley.PrefetchRaiser].
func (s *subscription) RaisePrefetch() int {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if s.err != nil {
		return 0
	}
	s.raised += s.prefetch
	s.queue.dispatch()
	return s.prefetch
}

// Close ends the subscription; unsettled messages return to the queue.
func (s *subscription) Close() error {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.end(fmt.Errorf("%w: subscription to queue %q", parley.ErrClosed, s.queue.Name))
	return nil
}

// Settle implements parley.Acknowledger.
func (u *unsettled) Settle(how parley.Settlement) error {
	s := u.sub
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if s.err != nil {
		return parley.ErrStale
	}
	s.take(u)
	if how == parley.SettleRequeue {
		s.queue.restore(u.entry)
	}
	s.queue.dispatch()
	return nil
}
