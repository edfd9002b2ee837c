package rest

import "sync"

// A budget is a token bucket for the retries of one host: each request adds a
// fraction of a token, each retry takes one. Otherwise retries at every layer of a system would
// multiply just when it is overloaded.
type budget struct {
	ratio, limit float64

	mu    sync.Mutex
	level float64 // guarded by mu
}

func newBudget(ratio float64, burst int) *budget {
	return &budget{ratio: ratio, limit: float64(burst), level: float64(burst)}
}

func (b *budget) deposit() {
	b.mu.Lock()
	b.level = min(b.limit, b.level+b.ratio)
	b.mu.Unlock()
}

func (b *budget) withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
