package memory

import (
	"context"
	"slices"

	"github.com/parley-go/parley"
)

// logBytes bounds the total size of the bodies that a broker keeps for Published.
const logBytes = 64 << 20

// A publishLog keeps the last messages.
type publishLog struct {
	limit    int
	messages []*parley.Message // messages[head:] are kept
	head     int
	bytes    int
}

func (l *publishLog) add(m *parley.Message) {
	if l.limit == 0 {
		return
	}
	l.messages = append(l.messages, m)
	l.bytes += len(m.Body)
	for len(l.messages)-l.head > l.limit || l.bytes > logBytes {
		l.bytes -= len(l.messages[l.head].Body)
		l.messages[l.head] = nil
		l.head++
	}
	if l.head > l.limit {
		n := copy(l.messages, l.messages[l.head:])
		clear(l.messages[n:])
		l.messages, l.head = l.messages[:n], 0
	}
}

// Published returns the messages that were published, in order: the last
// BrokerConfig.LogLimit ones, unroutable ones included. For assertions in tests.
func (b *Broker) Published() []parley.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	logged := b.log.messages[b.log.head:]
	out := make([]parley.Message, len(logged))
	for i, m := range logged {
		out[i] = *clone(m)
	}
	return out
}

// Messages returns the messages that are ready in a queue, in order, without unacked
// ones. It returns nil if there is no such queue.
func (b *Broker) Messages(queue string) []parley.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[queue]
	if q == nil {
		return nil
	}
	out := make([]parley.Message, 0, q.len())
	for _, e := range q.waiting() {
		out = append(out, *clone(e.message))
	}
	return out
}

// QueueLen returns how many messages are ready in a queue and how many subscriptions it has.
// It returns a *parley.TopologyError of code 404 if there is no such queue.
func (b *Broker) QueueLen(_ context.Context, queue string) (messages, consumers int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[queue]
	if q == nil {
		return 0, 0, missing("queue", queue)
	}
	subscriptions := 0
	for _, s := range q.consumers {
		if s.prefetch > 0 { // a pull has none: RabbitMQ does not count it either
			subscriptions++
		}
	}
	return q.len(), subscriptions, nil
}

// Queues returns the names of all queues, sorted.
func (b *Broker) Queues() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.queues))
	for name := range b.queues {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// DeleteQueue deletes a queue with its messages and bindings; its subscriptions are
// lost. Deleting a queue that does not exist does nothing, as in RabbitMQ.
func (b *Broker) DeleteQueue(_ context.Context, queue string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.queues[queue]; q != nil {
		b.deleteQueue(q)
	}
	return nil
}

// DeleteExchange deletes an exchange with its bindings. Deleting one that does not
// exist does nothing. For the broker's own exchanges it returns a *parley.TopologyError of code 403.
func (b *Broker) DeleteExchange(_ context.Context, exchange string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if exchange == "" || reserved(exchange) {
		return denied("exchange", exchange)
	}
	delete(b.exchanges, exchange)
	return nil
}

// Purge drops the ready messages of a queue and returns how many. It returns a
// *parley.TopologyError of code 404 if there is no such queue.
func (b *Broker) Purge(_ context.Context, queue string) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[queue]
	if q == nil {
		return 0, missing("queue", queue)
	}
	return q.purge(), nil
}
