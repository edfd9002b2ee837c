package parley

import "testing"

func TestTheFirstSubscriptionAsksForWhatTheBudgetHoldsOfMessagesOfOneMebibyte(t *testing.T) {
	for _, c := range []struct{ most, maxBytes, want int }{
		{64, 256 << 20, 64}, // the defaults
		{300, 64 << 20, 48}, // with slack
		{10, 64 << 20, 10},
		{100, 10_000, 48}, // a small budget is for small messages
		{100, 1, 48},
	} {
		p := prefetch{most: c.most, maxBytes: c.maxBytes}
		if got := p.begin(); got != c.want {
			t.Errorf("of %d deliveries and %d bytes it asks for %d, want %d", c.most, c.maxBytes, got, c.want)
		}
	}
}
