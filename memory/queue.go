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
	alone     []*queue // the queue itself, as the default exchange routes to it
	entries   []*entry // entries[head:] wait, in the order of their positions
	head      int
	next      int64 // position of the next message
	consumers []*subscription
	turn      int // whose turn it is among consumers
	expiry    *time.Timer
	deleted   bool
}

// An entry is a message in a queue. Its message is never changed.
type entry struct {
	message     *parley.Message
	position    int64
	expires     time.Time // set if the queue has a TTL
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

// push appends a new message and hands out what consumers can take.
func (q *queue) push(m *parley.Message) {
	e := &entry{message: m, position: q.next}
	q.next++
	if q.TTL > 0 {
		e.expires = time.Now().Add(q.TTL)
	}
	q.entries = append(q.entries, e)
	q.dispatch()
}

// restore puts an unsettled message back where it was.
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
	// The place of a message that was taken is free: what waits before it moves there.
	q.head--
	copy(q.entries[q.head:], waiting[:i])
	q.entries[q.head+i] = e
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

// purge drops the waiting messages and returns how many there were.
func (q *queue) purge() int {
	n := q.len()
	q.entries, q.head = nil, 0
	if q.expiry != nil {
		q.expiry.Stop()
		q.expiry = nil
	}
	return n
}

// dispatch gives waiting messages to consumers that have room, in turn.
func (q *queue) dispatch() {
	if q.TTL > 0 {
		q.expire()
	}
	for q.len() > 0 {
		s := q.nextFree()
		if s == nil {
			break
		}
		s.give(q.pop())
	}
	if q.TTL > 0 {
		q.schedule()
	}
}

func (q *queue) nextFree() *subscription {
	for range q.consumers {
		q.turn++
		if q.turn >= len(q.consumers) {
			q.turn = 0
		}
		if s := q.consumers[q.turn]; s.inHand < s.prefetch {
			return s
		}
	}
	return nil
}
