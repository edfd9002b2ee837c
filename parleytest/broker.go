package parleytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/parley-go/parley"
)

// TestBroker runs each promise of a broker as a subtest. open returns a connection
// with the default settings, and closes it through t; it is called once for each
// subtest. All names are unique, so that the server may be shared. Queues and
// exchanges are deleted afterwards if the broker has methods
//
//	DeleteQueue(ctx context.Context, queue string) error
//	DeleteExchange(ctx context.Context, exchange string) error
//
// which those of parley have. Without them, promises about deleted queues are skipped.
func TestBroker(t *testing.T, open func(t *testing.T) parley.Broker) {
	for _, p := range slices.Concat(routingPromises, publishPromises, consumePromises, topologyPromises, copyPromises) {
		t.Run(p.name, func(t *testing.T) {
			p.run(&brokerTest{T: t, broker: open(t), ctx: deadline(t)})
		})
	}
}

// A brokerPromise is one promise and the function that checks it.
type brokerPromise struct {
	name string
	run  func(b *brokerTest)
}

// A deleter is a broker that can delete what a test has declared.
type deleter interface {
	DeleteQueue(ctx context.Context, queue string) error
	DeleteExchange(ctx context.Context, exchange string) error
}

// A brokerTest is one subtest. Its helpers fail the test on unexpected errors.
type brokerTest struct {
	*testing.T
	broker parley.Broker
	ctx    context.Context // ends with the patience for this subtest
}

func (b *brokerTest) must(err error, what string) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (b *brokerTest) declare(t parley.Topology) {
	b.Helper()
	b.must(b.broker.Declare(b.ctx, t), "declare")
}

// exchange declares an exchange for this test.
func (b *brokerTest) exchange(kind parley.ExchangeType) string {
	b.Helper()
	name := unique("exchange")
	b.forget(name, deleter.DeleteExchange)
	b.declare(parley.Topology{Exchanges: []parley.Exchange{{Name: name, Type: kind}}})
	return name
}

// queue declares a queue for this test, without a binding. All fields except the name are copied from like.
func (b *brokerTest) queue(like parley.Queue) string {
	b.Helper()
	like.Name = unique("queue")
	b.forget(like.Name, deleter.DeleteQueue)
	b.declare(parley.Topology{Queues: []parley.Queue{like}})
	return like.Name
}

// forget deletes the queue or exchange called name at the end of the test.
func (b *brokerTest) forget(name string, remove func(d deleter, ctx context.Context, name string) error) {
	d, ok := b.broker.(deleter)
	if !ok {
		return
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), patience)
		defer cancel()
		if err := remove(d, ctx, name); err != nil {
			b.Errorf("delete %s: %v", name, err)
		}
	})
}

// bound declares a queue that is bound to an exchange with a key.
func (b *brokerTest) bound(exchange, key string) string {
	b.Helper()
	q := b.queue(parley.Queue{})
	b.declare(parley.Topology{Bindings: []parley.Binding{{Queue: q, Exchange: exchange, RoutingKey: key}}})
	return q
}

// publish publishes messages and fails the test if one of them is not accepted.
func (b *brokerTest) publish(messages ...parley.Message) {
	b.Helper()
	if outcomes := b.broker.Publish(b.ctx, messages); outcomes != nil {
		b.Fatalf("publish %d messages: %v", len(messages), errors.Join(outcomes...))
	}
}

// subscribe opens a subscription and closes it at the end of the test at the latest.
func (b *brokerTest) subscribe(queue string, prefetch int) parley.Subscription {
	b.Helper()
	s, err := b.broker.Subscribe(b.ctx, queue, parley.SubscribeOptions{Prefetch: prefetch})
	if err != nil {
		b.Fatalf("subscribe to %s: %v", queue, err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func (b *brokerTest) close(s parley.Subscription) {
	b.Helper()
	b.must(s.Close(), "close the subscription")
}

func (b *brokerTest) next(s parley.Subscription) *parley.Delivery {
	b.Helper()
	d, err := s.Next(b.ctx)
	if err != nil {
		b.Fatalf("next delivery: %v", err)
	}
	return d
}

// none fails the test if a delivery arrives within a short time.
func (b *brokerTest) none(s parley.Subscription, what string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, glance)
	defer cancel()
	d, err := s.Next(ctx)
	if err == nil {
		b.Fatalf("%s: got the message %q", what, d.ID)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		b.Fatalf("%s: %v, want the context's error", what, err)
	}
}

func (b *brokerTest) settle(d *parley.Delivery, how parley.Settlement) {
	b.Helper()
	b.must(d.Settle(how), fmt.Sprintf("settle %q", d.ID))
}

// collect acknowledges everything in a queue and returns the messages. Unacked messages of
// other subscriptions are not among them. A message of its own marks the end.
func (b *brokerTest) collect(queue string) []*parley.Delivery {
	b.Helper()
	end := unique("end")
	b.publish(parley.Message{RoutingKey: queue, ID: end})
	s := b.subscribe(queue, 100)
	var all []*parley.Delivery
	for {
		d := b.next(s)
		b.settle(d, parley.SettleAck)
		if d.ID == end {
			b.close(s)
			return all
		}
		all = append(all, d)
	}
}

// wantIDs compares the message ids in a queue with want and empties the queue.
func (b *brokerTest) wantIDs(queue, what string, want ...string) {
	b.Helper()
	var got []string
	for _, d := range b.collect(queue) {
		got = append(got, d.ID)
	}
	if !slices.Equal(got, want) {
		b.Errorf("%s: the queue has the messages %q, want %q", what, got, want)
	}
}

// message returns a message with a small body.
func message(exchange, key, id string) parley.Message {
	return parley.Message{Exchange: exchange, RoutingKey: key, ID: id, Body: []byte(`{"id": "` + id + `"}`)}
}

// messages returns n messages with the ids "0", "1" and so on.
func messages(exchange, key string, n int) []parley.Message {
	out := make([]parley.Message, n)
	for i := range out {
		out[i] = message(exchange, key, fmt.Sprint(i))
	}
	return out
}
