package memory

import (
	"fmt"

	"github.com/parley-go/parley"
)

// Block has Ready and Publish wait until Unblock, as a real broker does that runs
// out of memory or disk. Consuming goes on.
func (b *Broker) Block() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unblocked == nil && !b.closed {
		b.unblocked = make(chan struct{})
	}
}

// Unblock ends Block.
func (b *Broker) Unblock() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unblock()
}

func (b *Broker) unblock() {
	if b.unblocked != nil {
		close(b.unblocked)
		b.unblocked = nil
	}
}

// Disconnect ends all sessions, as a lost connection does: subscriptions are lost,
// unsettled deliveries return to their queues, settling them is
// parley.ErrStale, exclusive queues are gone. The next use works at once.
func (b *Broker) Disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disconnect(fmt.Errorf("%w: disconnected", parley.ErrSubscriptionLost))
}

// disconnect ends all sessions; b.mu is held.
func (b *Broker) disconnect(cause error) {
	for _, q := range b.queues {
		for len(q.consumers) > 0 {
			// The last one first: what the others hold stays with them until their turn.
			q.consumers[len(q.consumers)-1].end(cause)
		}
	}
	for _, q := range b.queues {
		if q.Exclusive {
			b.deleteQueue(q)
		}
	}
}

// RejectNext has the next n messages rejected (parley.ErrRejected), as a full queue does.
func (b *Broker) RejectNext(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reject = n
}

// LoseConfirms has the next n messages accepted and routed, but reported as
// parley.ErrUnknown, as a connection does that is lost before the confirm.
func (b *Broker) LoseConfirms(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = n
}
