package parley

import "testing"

func TestTheFirstPrefetchAssumesMessagesOfOneMebibyte(t *testing.T) {
	for _, c := range []struct{ most, maxBytes, want int }{
		{64, 256 << 20, 64}, // the defaults
		{300, 64 << 20, 48}, // with slack
		{10, 64 << 20, 10},
		{100, 10_000, 48}, // a small budget is for small messages
		{100, 1, 48},
	} {
		p := prefetch{most: c.most, maxBytes: c.maxBytes}
		if got := p.begin(); got != c.want {
			t.Errorf("prefetch with Prefetch %d and MaxBytes %d: %d, want %d", c.most, c.maxBytes, got, c.want)
		}
	}
}

func TestALowDeliveryLimitLowersTheFirstPrefetch(t *testing.T) {
	for _, c := range []struct{ limit, want int }{{0, 8}, {100, 8}, {5, 2}, {2, 1}} {
		q := Queue{Name: "q"}
		if c.limit > 0 {
			q.Arguments = map[string]any{"x-queue-type": "quorum", "x-delivery-limit": c.limit}
		}
		consumer := &Consumer{cfg: ConsumerConfig{Queue: "q", PoisonLimit: 20, Prefetch: 64, Topology: Topology{Queues: []Queue{q}}}}
		consumer.prefetch = prefetch{most: 64, maxBytes: 256 << 20}
		if o := consumer.subscribeOptions(); o.First != c.want || o.Prefetch != 64 {
			t.Errorf("with a delivery limit of %d the prefetch is %d and then %d, want %d and 64", c.limit, o.First, o.Prefetch, c.want)
		}
	}
}
