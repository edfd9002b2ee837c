package memory

import (
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// A queue holds messages until they are acknowledged. The broker's mutex guards it.
type queue struct {
	parley.Queue
	broker    *Broker
	alone     []*queue // only this queue, as the default exchange routes to it
	entries   []*entry // entries[head:] are ready, in the order of their positions
	head      int
	next      int64 // position of the next message
	first     int64 // position of the message that was returned to the front last
	consumers []*subscription
	turn      int  // index of the next consumer
	expiring  bool // it has had a message that expires
	expiry    *time.Timer
	deleted   bool
}

// An entry is a message in a queue. Its message is never changed.
type entry struct {
	message     *parley.Message
	position    int64
	expires     time.Time // zero: never
	redelivered bool
}

func newQueue(b *Broker, d parley.Queue) *queue {
	d.Arguments = cloneHeaders(d.Arguments)
	q := &queue{Queue: d, broker: b}
	q.alone = []*queue{q}
	return q
}

func (q *queue) waiting() []*entry { return q.entries[q.head:] }

func (q *queue) len() int { return len(q.entries) - q.head }

// push appends a new message and delivers what consumers can take.
func (q *queue) push(m *parley.Message) {
	e := &entry{message: m, position: q.next}
	q.next++
	if ttl := shorter(q.TTL, m.Expiration); ttl > 0 {
		e.expires = time.Now().Add(ttl)
		q.expiring = true
	}
	q.entries = append(q.entries, e)
	q.dispatch()
}

// shorter returns the shorter of two limits; 0 means no limit.
func shorter(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// restore returns an unsettled message to its position.
func (q *queue) restore(e *entry) {
	if q.deleted {
		return
	}
	e.redelivered = true
	waiting := q.waiting()
	i, _ := slices.BinarySearchFunc(waiting, e.position, func(o *entry, position int64) int {
		return int(o.position - position)
	})
	if q.head == 0 {
		q.entries = slices.Insert(q.entries, i, e)
		return
	}
	// The slot of a delivered message is free: the messages before it move there.
	q.head--
	copy(q.entries[q.head:], waiting[:i])
	q.entries[q.head+i] = e
}

// restoreFirst returns an unsettled message to the front of the queue.
func (q *queue) restoreFirst(e *entry) {
	q.first--
	e.position = q.first
	q.restore(e)
}

func (q *queue) pop() *entry {
	e := q.entries[q.head]
	q.entries[q.head] = nil
	q.head++
	switch {
	case q.head == len(q.entries):
		q.entries, q.head = q.entries[:0], 0
	case q.head >= 1024 && q.head*2 >= len(q.entries):
		n := copy(q.entries, q.waiting())
		clear(q.entries[n:])
		q.entries, q.head = q.entries[:n], 0
	}
	return e
}

// purge drops the ready messages and returns how many there were.
func (q *queue) purge() int {
	n := q.len()
	q.entries, q.head = nil, 0
	if q.expiry != nil {
		q.expiry.Stop()
		q.expiry = nil
	}
	return n
}

// dispatch gives ready messages to consumers that have room, in turn.
func (q *queue) dispatch() {
	if q.expiring {
		q.expire()
	}
	for q.len() > 0 {
		s := q.nextFree()
		if s == nil {
			break
		}
		s.give(q.pop())
	}
	if q.expiring {
		q.schedule()
	}
}

func (q *queue) nextFree() *subscription {
	for range q.consumers {
		q.turn++
		if q.turn >= len(q.consumers) {
			q.turn = 0
		}
		if s := q.consumers[q.turn]; s.inHand < s.prefetch+s.raised {
			return s
		}
	}
	return nil
}
