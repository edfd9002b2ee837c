package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley"
)

// A Broker is a connection to RabbitMQ. It implements parley.Broker and is safe for
// concurrent use.
type Broker struct {
	cfg       Config
	addresses []address

	life    context.Context // ends with Close
	end     context.CancelFunc
	wg      sync.WaitGroup
	publish *link
	consume *link
	more    chan struct{} // has an item when requests have come while the leader works
	silent  atomic.Bool   // the broker has not answered the end of the last subscription
	// progress is when the broker last confirmed something or began to owe a confirm: a Duration since born.
	progress atomic.Int64
	born     time.Time

	mu     sync.Mutex // guards the fields below
	closed bool
	queue  []*request
	led    chan struct{} // closed when the leader has ended; nil when there is none

	pipe *pipeline // belongs to the leader
}

// New returns a broker connection. It dials nothing until it is used.
func New(cfg *Config) (*Broker, error) {
	b := &Broker{more: make(chan struct{}, 1), born: time.Now()}
	if cfg != nil {
		b.cfg = *cfg
	}
	var err error
	if b.addresses, err = b.cfg.complete(); err != nil {
		return nil, err
	}
	b.life, b.end = context.WithCancel(context.Background())
	b.publish = &link{b: b, role: "publish"}
	b.consume = &link{b: b, role: "consume"}
	b.pipe = &pipeline{b: b}
	return b, nil
}

// String names the brokers without credentials.
func (b *Broker) String() string { return "rabbitmq.Broker(" + hosts(b.addresses) + ")" }

// GoString is String: a password must not reach a log by %#v either.
func (b *Broker) GoString() string { return b.String() }

// closeTimeout is how long Close may take when its context has no deadline.
const closeTimeout = 5 * time.Second

// Close refuses new messages, waits for the outcomes of those in flight, ends all
// connections and joins all goroutines; open subscriptions are lost. Close subscriptions
// first, so that their settlements arrive. It gives up waiting when ctx ends, after 5s at
// the latest if ctx has no deadline; the outcomes of the rest are unknown. It gives up earlier if the
// broker was silent when the last subscription was closed, or has confirmed nothing for 5s: one wait for a broker
// that hangs is enough.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	led := b.led
	b.mu.Unlock()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, closeTimeout)
		defer cancel()
	}
	answers := !b.silent.Load()
	if answers && led != nil && b.publish.current() != nil {
		answers = b.awaitOutcomes(ctx, led)
	}
	b.end()
	deadline, _ := ctx.Deadline()
	if !answers {
		deadline = time.Now()
	}
	err := errors.Join(b.publish.close(deadline), b.consume.close(deadline))
	b.wg.Wait()
	return err
}

// awaitOutcomes waits for the end of the leader. It returns false if ctx ends first, or the broker has confirmed nothing
// for a while: whoever is being stopped may have waited for it already.
func (b *Broker) awaitOutcomes(ctx context.Context, led <-chan struct{}) bool {
	for {
		left := time.Until(b.born.Add(time.Duration(b.progress.Load()) + closeTimeout))
		if left <= 0 {
			return false
		}
		t := time.NewTimer(left)
		select {
		case <-led:
			t.Stop()
			return true
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
	}
}

// spawn runs f in a goroutine that Close joins. It does not after Close has begun.
func (b *Broker) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.wg.Go(f)
	return true
}

// within runs f, which asks the broker something, until ctx ends. The library's calls
// know no context: one that hangs ends with its connection, which heartbeats watch.
// What f returns too late is discarded.
func within[T any](ctx context.Context, b *Broker, f func() (T, error), discard func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done, left := make(chan result), make(chan struct{})
	ok := b.spawn(func() {
		v, err := f()
		select {
		case done <- result{v, err}:
		case <-left:
			if err == nil && discard != nil {
				discard(v)
			}
		}
	})
	var none T
	if !ok {
		return none, parley.ErrClosed
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		close(left)
		return none, ctx.Err()
	}
}

// State tells how the connections are, for health checks.
type State struct {
	// Publishing and Consuming tell whether each connection is open.
	Publishing, Consuming bool
	// Blocked is the broker's reason for refusing publications, or "".
	Blocked string
}

// State returns the present state.
func (b *Broker) State() State {
	p, c := b.publish.current(), b.consume.current()
	s := State{Publishing: p != nil, Consuming: c != nil}
	if p != nil {
		_, s.Blocked = p.blocking()
	}
	return s
}

// Ready implements parley.Publisher. When ctx ends first, the error tells why there is no
// connection as well.
func (b *Broker) Ready(ctx context.Context) error {
	for {
		s, err := b.publish.session(ctx)
		if err != nil {
			return fmt.Errorf("rabbitmq: wait for the broker: %w", err)
		}
		unblocked, reason := s.blocking()
		if unblocked == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("rabbitmq: wait for the broker, which blocks publications (%s): %w", reason, ctx.Err())
		case <-b.life.Done():
			return parley.ErrClosed
		case <-unblocked:
		case <-s.done:
		}
	}
}
