package rabbitmq

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/parley-go/parley"
)

// Publish implements parley.Publisher. The calls of many goroutines are pipelined
// on one channel. One goroutine, the leader, publishes the requests and receives the confirms; it exits when
// there is nothing left to do. When the session is lost, the outcome of all unconfirmed messages is
// unknown, and the remaining messages of the same call are not sent. So sending them again keeps
// the order.
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
	default: // the leader has its wake-up already
	}
	return nil
}

// dequeue removes a request that was not begun: requests must not accumulate during an outage.
func (b *Broker) dequeue(r *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, r); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
}

// take returns the waiting requests. If there are none and the leader is idle, the leader must exit.
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

// lead publishes until no request is left.
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
			// Callers that have their outcome may publish again: one write for many of them, not one for each.
			runtime.Gosched()
		}
	}
}

// A request is one call of Publish.
type request struct {
	ctx  context.Context
	done chan struct{} // closed when every message has its outcome
	lost error         // why the remaining messages are not sent; belongs to the leader

	looked  bool              // the exchanges of all messages have been checked; belongs to the leader
	missing map[string]string // why messages to an exchange are refused, "" if only replies cannot go there; belongs to the leader

	mu       sync.Mutex // guards the fields below
	messages []parley.Message
	gone     bool    // the caller has returned: the messages are its own again
	outcomes []error // nil while there are no errors
	sure     int     // messages[:sure] have their outcome
	open     int     // the number of messages without an outcome
}

// firstOfEach returns the first message to each exchange that is not known, without its body. Left out are replies, because whether their
// exchange may be declared depends on the message, and messages that are refused anyway: the name of the exchange may be what is wrong.
func (r *request) firstOfEach(b *Broker, known func(exchange string) bool) (first []parley.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return nil
	}
	seen := map[string]bool{}
	for i := range r.messages {
		m := r.messages[i]
		if seen[m.Exchange] || known(m.Exchange) || isReply(&m) {
			continue
		}
		if _, err := b.check(&m); err != nil {
			continue
		}
		seen[m.Exchange] = true
		first = append(first, parley.Message{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Kind: m.Kind})
	}
	return first
}

// note records why messages to an exchange are refused.
func (r *request) note(exchange, reason string) {
	if r.missing == nil {
		r.missing = map[string]string{}
	}
	r.missing[exchange] = reason
}

// settle sets the outcome of message i: nil or an error.
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

// leave returns the known outcomes when the caller stops waiting.
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
