package rabbitmq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// quorum returns a quorum queue.
func quorum(t *testing.T, b *rabbitmq.Broker, arguments map[string]any) string {
	t.Helper()
	queue := testenv.Unique(t, "quorum")
	arguments["x-queue-type"] = "quorum"
	t.Cleanup(func() { deleteLater(t, queue) })
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue, Arguments: arguments}}}); err != nil {
		t.Fatal(err)
	}
	return queue
}

// deleteLater deletes queues after the test's own broker has been closed.
func deleteLater(t *testing.T, queues ...string) {
	t.Helper()
	clean, err := rabbitmq.New(&rabbitmq.Config{URL: rabbitURL(t), Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, queue := range queues {
		if err := clean.DeleteQueue(ctx, queue); err != nil {
			t.Error(err)
		}
	}
	if err := clean.Close(ctx); err != nil {
		t.Error(err)
	}
}

// fill publishes messages with the ids 0 to n-1.
func fill(t *testing.T, b *rabbitmq.Broker, queue string, n int) {
	t.Helper()
	out := make([]parley.Message, n)
	for i := range out {
		out[i] = parley.Message{RoutingKey: queue, ID: fmt.Sprint(i), Body: []byte("{}")}
	}
	if errs := b.Publish(t.Context(), out); errs != nil {
		t.Fatal(errs)
	}
}

func TestACleanStopLosesNoAckOfAQuorumQueue(t *testing.T) {
	for name, o := range map[string]struct {
		parley.SubscribeOptions
		arguments map[string]any
	}{
		"shared":                 {parley.SubscribeOptions{Prefetch: 100, SharedQueue: true}, map[string]any{}},
		"shared, two consumers":  {parley.SubscribeOptions{Prefetch: 100, SharedQueue: true, First: 10}, map[string]any{}},
		"unknown":                {parley.SubscribeOptions{Prefetch: 100}, map[string]any{}},
		"single active consumer": {parley.SubscribeOptions{Prefetch: 100}, map[string]any{"x-single-active-consumer": true}},
	} {
		t.Run(name, func(t *testing.T) {
			b, _, _ := open(t, rabbitmq.Config{})
			queue := quorum(t, b, o.arguments)
			const n, stops = 3000, 30
			fill(t, b, queue, n)
			seen := map[string]bool{}
			for range stops {
				s, err := b.Subscribe(t.Context(), queue, o.SubscribeOptions)
				if err != nil {
					t.Fatal(err)
				}
				for range n / stops {
					d := next(t, s)
					if seen[d.ID] {
						t.Errorf("message %s was acked before a clean stop, and redelivered after it", d.ID)
					}
					seen[d.ID] = true
					if err := d.Settle(parley.SettleAck); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if left := settledLen(t, b, queue, n-len(seen)); left != n-len(seen) {
				t.Errorf("%d of %d messages remain after %d acks and %d clean stops, want %d", left, n, len(seen), stops, n-len(seen))
			}
		})
	}
}

// The first delivery stays unsettled, so the others are acked one by one.
func TestACleanStopLosesNoSingleAckOfAQuorumQueue(t *testing.T) {
	for name, o := range map[string]struct {
		parley.SubscribeOptions
		arguments map[string]any
	}{
		"shared":                 {parley.SubscribeOptions{Prefetch: 300, SharedQueue: true}, map[string]any{}},
		"unknown":                {parley.SubscribeOptions{Prefetch: 300}, map[string]any{}},
		"single active consumer": {parley.SubscribeOptions{Prefetch: 300}, map[string]any{"x-single-active-consumer": true}},
	} {
		t.Run(name, func(t *testing.T) {
			b, _, _ := open(t, rabbitmq.Config{})
			queue := quorum(t, b, o.arguments)
			const n = 250
			fill(t, b, queue, 1) // stays
			for range 5 {
				fill(t, b, queue, n-1)
				s, err := b.Subscribe(t.Context(), queue, o.SubscribeOptions)
				if err != nil {
					t.Fatal(err)
				}
				var hand []*parley.Delivery
				for range n {
					hand = append(hand, next(t, s))
				}
				for _, d := range hand[1:] {
					if err := d.Settle(parley.SettleAck); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if left := settledLen(t, b, queue, 1); left != 1 {
					t.Fatalf("%d messages are left, want 1: acked ones have returned", left)
				}
			}
		})
	}
}

// settledLen returns the number of messages in a queue as soon as it is want, or after a timeout.
func settledLen(t *testing.T, b *rabbitmq.Broker, queue string, want int) int {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		n, _, err := b.QueueLen(t.Context(), queue)
		if err != nil {
			t.Fatal(err)
		}
		if n == want || time.Now().After(deadline) {
			return n
		}
	}
}

func TestTheNextSingleActiveConsumerGetsWhatWasInHandFirst(t *testing.T) {
	b, _, _ := open(t, rabbitmq.Config{})
	queue := quorum(t, b, map[string]any{"x-single-active-consumer": true})
	first := subscribe(t, b, queue, 4)
	waiting := subscribe(t, b, queue, 4)
	defer waiting.Close()
	fill(t, b, queue, 12)
	for i := range 6 {
		d := next(t, first)
		if d.ID != fmt.Sprint(i) {
			t.Fatalf("delivery %d is message %s", i, d.ID)
		}
		if i < 3 {
			if err := d.Settle(parley.SettleAck); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 3; i < 12; i++ {
		d := next(t, waiting)
		if d.ID != fmt.Sprint(i) {
			t.Fatalf("the next consumer gets message %s, want %d: a later message overtook unsettled ones", d.ID, i)
		}
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFewDeliveriesAreInHandUntilTheFirstAreSettled(t *testing.T) {
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			b, _, queue := open(t, rabbitmq.Config{})
			if kind == "quorum" {
				queue = quorum(t, b, map[string]any{})
			}
			fill(t, b, queue, 300)
			s, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 100, First: 5, SharedQueue: true})
			if err != nil {
				t.Fatal(err)
			}
			if n := settledLen(t, b, queue, 295); n != 295 {
				t.Errorf("%d of 300 messages are still in the queue at the start, want 295 ready", n)
			}
			var hand []*parley.Delivery
			take := func(n int) {
				t.Helper()
				for range n {
					d := next(t, s)
					if len(hand) > 0 && d.ID != fmt.Sprint(len(hand)) {
						t.Fatalf("delivery %d is message %s, want the order of the queue", len(hand), d.ID)
					}
					hand = append(hand, d)
				}
			}
			take(5)
			for _, d := range hand {
				if err := d.Settle(parley.SettleAck); err != nil {
					t.Fatal(err)
				}
			}
			// The first consumer may end before it gets five more.
			left := settledLen(t, b, queue, 195)
			if left < 195 || left > 200 {
				t.Errorf("%d messages are in the queue after the first were settled, want 195 to 200: the prefetch was not raised to 100", left)
			}
			take(295 - left)
			for _, d := range hand[5:] {
				if err := d.Settle(parley.SettleAck); err != nil {
					t.Fatal(err)
				}
			}
			for range left {
				take(1)
				if err := hand[len(hand)-1].Settle(parley.SettleAck); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if n := settledLen(t, b, queue, 0); n != 0 {
				t.Errorf("%d messages were redelivered", n)
			}
		})
	}
}

// A process that crashes has increased the delivery count of few messages, also if it had settled some before.
func TestFewDeliveriesAreInHandWhileMessagesAreRedelivered(t *testing.T) {
	b, _, queue := open(t, rabbitmq.Config{})
	fill(t, b, queue, 100)
	before, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 10, SharedQueue: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		next(t, before)
	}
	if err := before.Close(); err != nil { // like a process that ends
		t.Fatal(err)
	}
	s, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 50, First: 2, SharedQueue: true})
	if err != nil {
		t.Fatal(err)
	}
	handle := func(n int, redelivered bool) {
		t.Helper()
		for range n {
			d := next(t, s)
			if d.Redelivered != redelivered {
				t.Errorf("message %s: redelivered is %v, want %v", d.ID, d.Redelivered, redelivered)
			}
			if err := d.Settle(parley.SettleAck); err != nil {
				t.Fatal(err)
			}
		}
	}
	handle(9, true)
	if n := settledLen(t, b, queue, 89); n != 89 {
		t.Errorf("%d messages are in the queue with 2 unsettled, want 89", n)
	}
	handle(1, true)
	handle(2, false)
	// The first consumer may end before it gets two more.
	if n := settledLen(t, b, queue, 38); n < 38 || n > 40 {
		t.Errorf("%d messages are in the queue after 2 first deliveries, want 38 to 40: the prefetch was not raised to 50", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
