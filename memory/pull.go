package memory

import (
	"context"
	"fmt"

	"github.com/parley-go/parley"
)

var _ parley.QueuePuller = (*Broker)(nil)

// Pull pulls messages from a queue on request; see [parley.QueuePuller]. It returns a *parley.TopologyError of code
// 404 if there is no such queue.
func (b *Broker) Pull(ctx context.Context, queue string) (parley.Puller, error) {
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
		return nil, fmt.Errorf("pull: %w", missing("queue", queue))
	}
	// With prefetch 0 the broker pushes nothing to it: it only pulls.
	s := &subscription{broker: b, queue: q, arrived: make(chan struct{}, 1)}
	q.consumers = append(q.consumers, s)
	return puller{s}, nil
}

// A puller pulls messages as unsettled ones of a subscription.
type puller struct{ sub *subscription }

// Next implements parley.Puller.
func (p puller) Next(ctx context.Context) (*parley.Delivery, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	s := p.sub
	s.broker.mu.Lock()
	if s.err == nil {
		if s.queue.TTL > 0 {
			s.queue.dispatch() // expired messages are removed first
		}
		if s.queue.len() > 0 {
			s.give(s.queue.pop())
		}
	}
	behind := s.queue.len()
	s.broker.mu.Unlock()
	u, err := s.nextReady()
	if err != nil || u == nil {
		return nil, 0, err
	}
	return u.delivery(), behind, nil
}

// Close implements parley.Puller.
func (p puller) Close() error { return p.sub.Close() }
