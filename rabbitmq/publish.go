package rabbitmq

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/parley-go/parley"
)

// Publish implements parley.Publisher. Calls of many goroutines are pipelined together
// on one channel: a goroutine that lives as long as there is something to do, the
// leader, publishes what comes and takes the confirms. When the session is lost, all that
// is not confirmed is unknown, and what follows in the same call is not sent, so that
// sending it again keeps the order.
func (b *Broker) Publish(ctx context.Context, messages []parley.Message) []error {
	if len(messages) == 0 {
		return nil
	}
	r := &request{ctx: ctx, messages: messages, open: len(messages), done: make(chan struct{})}
	if err := b.enqueue(r); err != nil {
		return r.leave(err)
	}
	select {
	case <-r.done:
		return r.outcomes
	case <-ctx.Done():
		b.dequeue(r)
		return r.leave(b.publish.gaveUp(ctx.Err()))
	}
}

func (b *Broker) enqueue(r *request) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return parley.ErrClosed
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	b.queue = append(b.queue, r)
	if b.led == nil {
		led := make(chan struct{})
		b.led = led
		b.wg.Go(func() { defer close(led); b.lead() })
		return nil
	}
	select {
	case b.more <- struct{}{}:
	default: // the leader knows already
	}
	return nil
}

// dequeue forgets a request that was not begun: during an outage they must not pile up.
func (b *Broker) dequeue(r *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, r); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
}

// take returns what has come. If that is nothing and the leader is idle, it is dismissed.
func (b *Broker) take(idle bool) (requests []*request, dismissed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests, b.queue = b.queue, nil
	if len(requests) == 0 && idle {
		b.led = nil
		return nil, true
	}
	return requests, false
}

// lead publishes until nothing is left to do.
func (b *Broker) lead() {
	for {
		requests, dismissed := b.take(b.pipe.empty())
		if dismissed {
			return
		}
		for _, r := range requests {
			b.pipe.publish(r)
		}
		b.pipe.rest()
		if !b.pipe.empty() {
			b.pipe.await(b.more)
			// Callers that have their outcome may publish again: one write for many, not one for each.
			runtime.Gosched()
		}
	}
}

// A request is one call of Publish.
type request struct {
	ctx  context.Context
	done chan struct{} // closed when every message has its outcome
	lost error         // why the rest is not sent; belongs to the leader

	missing map[string]string // exchanges that do not exist, and why; belongs to the leader

	mu       sync.Mutex // guards the fields below
	messages []parley.Message
	gone     bool    // the caller has left: the messages are its own again
	outcomes []error // nil while all are well
	sure     int     // messages[:sure] have their outcome
	open     int     // so many have none
}

// settle gives message i its outcome: nil or an error.
func (r *request) settle(i int, err error, confirmed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return
	}
	if err != nil {
		if r.outcomes == nil {
			r.outcomes = make([]error, len(r.messages))
		}
		r.outcomes[i] = err
	}
	if confirmed {
		r.sure = i + 1 // confirms come in the order of the messages
	}
	if r.open--; r.open == 0 {
		close(r.done)
	}
}

// leave returns what is known when the caller does not wait any longer.
func (r *request) leave(cause error) []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	if r.open == 0 {
		return r.outcomes
	}
	if r.outcomes == nil {
		r.outcomes = make([]error, len(r.messages))
	}
	for i := r.sure; i < len(r.outcomes); i++ {
		if r.outcomes[i] == nil {
			r.outcomes[i] = unknown(cause)
		}
	}
	return r.outcomes
}

func unknown(cause error) error { return fmt.Errorf("%w: %w", parley.ErrUnknown, cause) }
