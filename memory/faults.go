package memory

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/parley-go/parley"
)

// Block makes Ready and Publish wait until Unblock, like a real broker that runs
// out of memory or disk. Consuming continues.
func (b *Broker) Block() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unblocked == nil && !b.closed {
		b.unblocked = make(chan struct{})
	}
}

// Unblock ends the effect of Block.
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

// Disconnect ends all sessions, like a lost connection. Subscriptions are lost,
// unsettled deliveries return to their queues, settling them returns
// parley.ErrStale, and exclusive queues are deleted. The next use works at once.
func (b *Broker) Disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disconnect(fmt.Errorf("%w: disconnected", parley.ErrSubscriptionLost))
}

// DisconnectLate ends all subscriptions like [Broker.Disconnect], but the broker notices it only after some time, as when a network
// is cut or the node of a cluster dies: until then new subscriptions get later messages. Then the unsettled deliveries return to
// the front of their queues, in random order.
func (b *Broker) DisconnectLate(after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	cause := fmt.Errorf("%w: disconnected", parley.ErrSubscriptionLost)
	for _, q := range b.queues {
		var left []*entry
		for len(q.consumers) > 0 {
			left = append(left, q.consumers[0].leave(cause)...)
		}
		time.AfterFunc(after, func() { q.returnLate(left) })
	}
}

func (q *queue) returnLate(left []*entry) {
	q.broker.mu.Lock()
	defer q.broker.mu.Unlock()
	rand.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	for _, e := range left {
		q.restoreFirst(e)
	}
	q.dispatch()
}

// disconnect ends all sessions; b.mu is held.
func (b *Broker) disconnect(cause error) {
	for _, q := range b.queues {
		for len(q.consumers) > 0 {
			// The last one first: the others keep their deliveries until they end.
			q.consumers[len(q.consumers)-1].end(cause)
		}
	}
	for _, q := range b.queues {
		if q.Exclusive {
			b.deleteQueue(q)
		}
	}
}

// RejectNext makes the broker reject the next n messages (parley.ErrRejected), like a full queue.
func (b *Broker) RejectNext(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reject = n
}

// LoseConfirms makes the broker accept and route the next n messages, but report
// parley.ErrUnknown for them, like a connection that is lost before the confirm.
func (b *Broker) LoseConfirms(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = n
}
