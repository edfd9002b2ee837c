package parley

import "log/slog"

// A prefetch is the number of unacked deliveries that a subscription allows. It is the configured number, or fewer while prefetch
// × mean message size exceeds the byte budget. A client library buffers every delivery that the broker sends, so 300 messages of 8
// MiB would be in memory, however few of them are being handled. Only the consumer's loop uses it.
type prefetch struct {
	most     int // the configured number
	maxBytes int

	now  int     // prefetch of the running subscription
	seen int     // deliveries on it
	mean float64 // mean body size, weighted towards the newest
}

const (
	// prefetchMemory is the approximate number of deliveries that the mean covers.
	prefetchMemory = 32
	// prefetchPatience is how many deliveries a subscription gets before it is replaced to raise the prefetch. Replacing it
	// causes redeliveries of the buffered messages, and brokers count these.
	prefetchPatience = 200
)

func (p *prefetch) begin() int {
	p.now, p.seen = p.fits(), 0
	return p.now
}

// unknownSize is the body size assumed until a message was seen; for a small budget it is 1/64 of the budget. A nearby broker
// fills the prefetch of the first subscription before the consumer has seen the first message.
const unknownSize = 1 << 20

// fits returns how many deliveries the budget holds. It leaves slack, so that a small increase does not end the next subscription.
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

// needsResize notes a body's size. It reports whether the subscription should be replaced by one with another prefetch.
func (p *prefetch) needsResize(size int) bool {
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

func (p *prefetch) logResize(log *slog.Logger, queue string) {
	log.Info("consumer: prefetch adjusted to message size",
		"queue", queue, "prefetch", p.fits(), "before", p.now, "mean_bytes", int(p.mean))
}
