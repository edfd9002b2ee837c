package parleytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

var consumePromises = []brokerPromise{
	{"PrefetchBoundsDeliveriesInHand", prefetchBoundsDeliveries},
	{"RaisedPrefetchDeliversMoreInOrder", raisedPrefetchDeliversMore},
	{"ConsumersOfAQueueTakeTurns", consumersTakeTurns},
	{"AckedNeverComesBack", ackedNeverComesBack},
	{"RequeuedComesBackRedelivered", requeuedComesBackRedelivered},
	{"RequeuedComesBackInItsPlace", requeuedComesBackInItsPlace},
	{"ClosedSubscriptionGivesBackUnsettled", closedSubscriptionGivesBack},
	{"SettlementsBeforeCloseCount", settlementsBeforeCloseCount},
	{"SettleTwiceIsRefused", settleTwiceIsRefused},
	{"SettleAfterCloseIsStale", settleAfterCloseIsStale},
	{"NextReturnsWhenContextEndsAndLosesNothing", nextLosesNothing},
	{"NextAfterCloseFails", nextAfterCloseFails},
	{"CloseTwiceIsHarmless", closeTwiceIsHarmless},
	{"SubscribeToAMissingQueueFails", subscribeToAMissingQueueFails},
	{"DeletedQueueLosesTheSubscription", deletedQueueLosesTheSubscription},
}

// filled declares a queue and publishes n messages to it.
func (b *brokerTest) filled(n int) string {
	b.Helper()
	q := b.queue(parley.Queue{})
	b.publish(messages("", q, n)...)
	return q
}

// wantNext receives a delivery and compares its id and redelivered flag.
func (b *brokerTest) wantNext(s parley.Subscription, id string, redelivered bool) *parley.Delivery {
	b.Helper()
	d := b.next(s)
	if d.ID != id || d.Redelivered != redelivered {
		b.Fatalf("got the message %q, redelivered %t, want %q, %t", d.ID, d.Redelivered, id, redelivered)
	}
	return d
}

func raisedPrefetchDeliversMore(b *brokerTest) {
	q := b.queue(parley.Queue{})
	b.publish(messages("", q, 20)...)
	s, err := b.broker.Subscribe(b.ctx, q, parley.SubscribeOptions{Prefetch: 3, SharedQueue: true})
	b.must(err, "subscribe")
	raiser, ok := s.(parley.PrefetchRaiser)
	if !ok {
		return // it is optional
	}
	var hand []*parley.Delivery
	take := func(n int) {
		for range n {
			hand = append(hand, b.next(s))
		}
	}
	take(3)
	for range 2 {
		n := raiser.RaisePrefetch()
		if n != 3 {
			b.Fatalf("a prefetch of 3 was raised by %d, want 3", n)
		}
		take(n)
	}
	for i, d := range hand {
		if want := messages("", q, 20)[i].ID; d.ID != want {
			b.Errorf("delivery %d is message %s, want %s: the order of the queue", i, d.ID, want)
		}
		b.settle(d, parley.SettleAck)
	}
	for range 3 { // also after the earlier ones were settled
		b.settle(b.next(s), parley.SettleAck)
	}
	b.close(s)
	if n := len(b.collect(q)); n != 8 {
		b.Errorf("%d messages remain after 12 of 20 were acked, want 8", n)
	}
	if n := raiser.RaisePrefetch(); n != 0 {
		b.Errorf("the prefetch of a closed subscription was raised by %d, want 0", n)
	}
}

func prefetchBoundsDeliveries(b *brokerTest) {
	s := b.subscribe(b.filled(5), 2)
	first := b.wantNext(s, "0", false)
	second := b.wantNext(s, "1", false)
	b.none(s, "2 unacked messages with a prefetch of 2")
	b.settle(second, parley.SettleAck)
	third := b.wantNext(s, "2", false)
	b.none(s, "again 2 unacked messages")
	b.settle(first, parley.SettleAck)
	b.settle(third, parley.SettleAck)
	b.wantNext(s, "3", false)
	b.wantNext(s, "4", false)
}

func consumersTakeTurns(b *brokerTest) {
	q := b.queue(parley.Queue{})
	first, second := b.subscribe(q, 10), b.subscribe(q, 10)
	b.publish(messages("", q, 10)...)
	var got []string
	for range 5 {
		for _, s := range []parley.Subscription{first, second} {
			d := b.next(s)
			b.settle(d, parley.SettleAck)
			got = append(got, d.ID)
		}
	}
	slices.Sort(got)
	if want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}; !slices.Equal(got, want) {
		b.Errorf("two consumers got the messages %v, want each once", got)
	}
}

func ackedNeverComesBack(b *brokerTest) {
	q := b.filled(3)
	s := b.subscribe(q, 10)
	for i := range 3 {
		d := b.wantNext(s, fmt.Sprint(i), false)
		if i != 1 {
			b.settle(d, parley.SettleAck)
		}
	}
	b.close(s)
	again := b.subscribe(q, 10)
	b.wantNext(again, "1", true)
	b.none(again, "the other messages were acked")
}

func requeuedComesBackRedelivered(b *brokerTest) {
	s := b.subscribe(b.filled(1), 1)
	for i := range 3 {
		d := b.wantNext(s, "0", i > 0)
		if string(d.Body) != `{"id": "0"}` {
			b.Errorf("the body arrived as %s", d.Body)
		}
		b.settle(d, parley.SettleRequeue)
	}
	b.settle(b.wantNext(s, "0", true), parley.SettleAck)
	b.none(s, "the message was acked")
}

func requeuedComesBackInItsPlace(b *brokerTest) {
	s := b.subscribe(b.filled(6), 3)
	held := []*parley.Delivery{b.wantNext(s, "0", false), b.wantNext(s, "1", false), b.wantNext(s, "2", false)}
	b.settle(held[1], parley.SettleRequeue)
	b.settle(b.wantNext(s, "1", true), parley.SettleAck)
	b.settle(b.wantNext(s, "3", false), parley.SettleAck)
	four := b.wantNext(s, "4", false)
	b.close(s)
	if err := four.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
		b.Errorf("settle after the close: %v, want ErrStale", err)
	}
}

func closedSubscriptionGivesBack(b *brokerTest) {
	q := b.filled(5)
	s := b.subscribe(q, 4)
	b.settle(b.wantNext(s, "0", false), parley.SettleAck)
	b.wantNext(s, "1", false)
	b.settle(b.wantNext(s, "2", false), parley.SettleAck)
	b.close(s)
	again := b.subscribe(q, 10)
	var got []string
	for range 3 {
		d := b.next(again)
		got = append(got, d.ID)
		if d.ID == "1" && !d.Redelivered {
			b.Errorf("message 1 was redelivered but is not marked as such")
		}
	}
	if want := []string{"1", "3", "4"}; !slices.Equal(got, want) {
		b.Errorf("after the close the queue has %v, want %v", got, want)
	}
}

func settlementsBeforeCloseCount(b *brokerTest) {
	const n = 300
	q := b.filled(n)
	s := b.subscribe(q, n)
	for range n {
		b.settle(b.next(s), parley.SettleAck)
	}
	b.close(s)
	b.wantIDs(q, "all messages were acked just before the close")
}

func settleTwiceIsRefused(b *brokerTest) {
	q := b.filled(2)
	s := b.subscribe(q, 2)
	d := b.next(s)
	b.settle(d, parley.SettleAck)
	for _, how := range []parley.Settlement{parley.SettleAck, parley.SettleRequeue} {
		if err := d.Settle(how); !errors.Is(err, parley.ErrSettled) {
			b.Errorf("settle a second time: %v, want ErrSettled", err)
		}
	}
	b.settle(b.wantNext(s, "1", false), parley.SettleAck)
	b.publish(message("", q, "2"))
	b.wantNext(s, "2", false)
}

func settleAfterCloseIsStale(b *brokerTest) {
	q := b.filled(2)
	s := b.subscribe(q, 2)
	first, second := b.next(s), b.next(s)
	b.close(s)
	again := b.subscribe(q, 2)
	b.wantNext(again, "0", true)
	for _, d := range []*parley.Delivery{first, second} {
		if err := d.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
			b.Errorf("settle a delivery of a closed subscription: %v, want ErrStale", err)
		}
	}
	// A stale settlement that reached the broker would have settled a delivery of the new subscription.
	b.settle(b.wantNext(again, "1", true), parley.SettleAck)
	b.close(again)
	b.wantIDs(q, "one was acknowledged", "0")
}

func nextLosesNothing(b *brokerTest) {
	const n = 100
	q := b.queue(parley.Queue{})
	s := b.subscribe(q, 10)
	b.none(s, "the queue is empty")
	published := make(chan []error, 1)
	go func() { published <- b.broker.Publish(b.ctx, messages("", q, n)) }()
	var got []string
	for wait := time.Duration(0); len(got) < n && b.ctx.Err() == nil; wait = (wait + 37*time.Microsecond) % time.Millisecond {
		ctx, cancel := context.WithTimeout(b.ctx, wait)
		d, err := s.Next(ctx)
		cancel()
		if err == nil {
			b.settle(d, parley.SettleAck)
			got = append(got, d.ID)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			b.Fatalf("next: %v, want the context's error", err)
		}
	}
	if outcomes := receive(b.T, published, "published"); outcomes != nil {
		b.Fatalf("publish: %v", errors.Join(outcomes...))
	}
	for i, id := range got {
		if id != fmt.Sprint(i) {
			b.Fatalf("with contexts that end between deliveries: delivery %d is message %s", i, id)
		}
	}
	if len(got) != n {
		b.Errorf("with contexts that end between deliveries: got %d of %d messages", len(got), n)
	}
}

func nextAfterCloseFails(b *brokerTest) {
	s := b.subscribe(b.filled(3), 2)
	b.next(s)
	b.close(s)
	if d, err := s.Next(b.ctx); err == nil {
		b.Errorf("a closed subscription returned message %q", d.ID)
	} else if b.ctx.Err() != nil {
		b.Errorf("Next on a closed subscription waits")
	}
}

func closeTwiceIsHarmless(b *brokerTest) {
	q := b.filled(1)
	s := b.subscribe(q, 2)
	b.close(s)
	_ = s.Close()
	b.wantIDs(q, "after closing twice", "0")
}

func subscribeToAMissingQueueFails(b *brokerTest) {
	_, err := b.broker.Subscribe(b.ctx, unique("nowhere"), parley.SubscribeOptions{Prefetch: 1})
	if err == nil || b.ctx.Err() != nil {
		b.Errorf("subscribe to a missing queue: %v, want an error at once", err)
	}
	q := b.filled(1)
	b.wantNext(b.subscribe(q, 1), "0", false)
}

func deletedQueueLosesTheSubscription(b *brokerTest) {
	d, ok := b.broker.(deleter)
	if !ok {
		return // it cannot be told to delete one
	}
	q := b.filled(1)
	s := b.subscribe(q, 2)
	b.wantNext(s, "0", false)
	b.must(d.DeleteQueue(b.ctx, q), "delete the queue")
	if _, err := s.Next(b.ctx); !errors.Is(err, parley.ErrSubscriptionLost) {
		b.Errorf("the queue was deleted, Next returns %v, want ErrSubscriptionLost", err)
	}
	b.declare(parley.Topology{Queues: []parley.Queue{{Name: q}}})
	b.publish(message("", q, "new"))
	b.wantNext(b.subscribe(q, 1), "new", false)
}
