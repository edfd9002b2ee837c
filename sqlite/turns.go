package sqlite

import (
	"context"
	"slices"
	"sync"
)

// turns serializes the store's own writers in the order in which they came. Writers with first=true
// overtake the others. A claim, a renewal or the storing of a failed delivery takes a millisecond, and
// must not wait for the handlers of a whole prefetch, each of which has the write lock until it returns.
type turns struct {
	mu sync.Mutex
	// mu guards the fields below.
	taken       bool
	first, rest []chan struct{} // closed when the writer may begin
}

// take waits until the caller may write.
func (t *turns) take(ctx context.Context, first bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	queue := &t.rest
	if first {
		queue = &t.first
	}
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	*queue = append(*queue, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(*queue, turn); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	} else {
		t.passLocked() // the writer was admitted at the same moment
	}
	return ctx.Err()
}

// pass admits the next writer.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passLocked()
}

func (t *turns) passLocked() {
	for _, queue := range []*[]chan struct{}{&t.first, &t.rest} {
		if len(*queue) > 0 {
			close((*queue)[0])
			*queue = slices.Delete(*queue, 0, 1)
			return
		}
	}
	t.taken = false
}
