package rabbitmq

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

func TestOneUnsettledDeliveryDoesNotKeepAllLaterTags(t *testing.T) {
	b, err := New(&Config{URL: testenv.RabbitMQ(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	queue := testenv.Unique(t, "parley")
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue, Exclusive: true}}}); err != nil {
		t.Fatal(err)
	}
	const n, prefetch = 3000, 10
	ms := make([]parley.Message, n)
	for i := range ms {
		ms[i] = parley.Message{RoutingKey: queue, Body: []byte("{}")}
	}
	if errs := b.Publish(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	s, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: prefetch})
	if err != nil {
		t.Fatal(err)
	}
	var first *parley.Delivery
	for i := range n {
		d, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = d // an ordered route keeps a failing delivery up to 20 minutes
			continue
		}
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
	}
	if got := remembered(s.(*subscription)); got > prefetch {
		t.Errorf("%d tags are kept for one unsettled delivery of %d", got, prefetch)
	}
	if err := first.Settle(parley.SettleAck); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := b.QueueLen(t.Context(), queue); n != 0 || err != nil {
		t.Errorf("%d messages were redelivered: %v", n, err)
	}
}

// remembered returns the number of kept tags, once the settlements made so far are sent.
func remembered(s *subscription) int {
	deadline := time.Now().Add(10 * time.Second)
	for {
		s.mu.Lock()
		n := len(s.inHand)
		s.mu.Unlock()
		if n <= 1 || time.Now().After(deadline) {
			return n
		}
		runtime.Gosched()
	}
}
