package parley

import (
	"errors"
	"log/slog"
)

// errOtherPrefetch ends a session so that the next one asks for another number of deliveries.
var errOtherPrefetch = errors.New("the size of the messages has changed")

// A prefetch is how many deliveries a subscription asks for: the configured number, or fewer while messages are so
// large that the byte budget does not hold as many. A client library keeps whatever the broker has sent, so
// 300 messages of 8 MiB would be in memory however few of them are in hand. It belongs to the consumer's loop.
type prefetch struct {
	most     int // the configured number
	maxBytes int

	now  int     // what the running subscription has asked for
	seen int     // deliveries on it
	mean float64 // size of the bodies, the newest ones count most
}

const (
	// prefetchMemory is about how many deliveries the mean is taken of.
	prefetchMemory = 32
	// prefetchPatience is how many deliveries a subscription gets before it is ended to have more at once: those that
	// wait are delivered again by that, and brokers count it.
	prefetchPatience = 200
)

func (p *prefetch) begin() int {
	p.now, p.seen = p.fits(), 0
	return p.now
}

// unknownSize is what a body is taken to have before one was seen, or a 64th of a small budget. A broker nearby sends all that the
// first subscription asks for before anybody has looked at the first of it.
const unknownSize = 1 << 20

// fits is how many deliveries the budget holds. There is slack, so that a little more does not end the next subscription.
func (p *prefetch) fits() int {
	mean := p.mean
	if mean == 0 {
		mean = min(unknownSize, float64(p.maxBytes)/64)
	}
	if mean*float64(p.most) <= float64(p.maxBytes) {
		return p.most
	}
	return max(1, int(float64(p.maxBytes)/mean*3/4))
}

// wrong notes a body's size. It tells that the subscription should be replaced by one that asks for more or fewer.
func (p *prefetch) wrong(size int) bool {
	p.seen++
	if p.mean == 0 {
		p.mean = float64(size)
	}
	p.mean += (float64(size) - p.mean) / prefetchMemory
	if p.now > 1 && p.mean*float64(p.now) > float64(p.maxBytes) {
		return true
	}
	better := p.fits()
	return p.seen > prefetchPatience && better > p.now && (better == p.most || better >= 2*p.now)
}

func (p *prefetch) tell(log *slog.Logger, queue string) {
	log.Info("consumer: asks for another number of deliveries at once, as their size has changed",
		"queue", queue, "prefetch", p.fits(), "before", p.now, "mean_bytes", int(p.mean))
}
