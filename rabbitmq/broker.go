package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	more    chan struct{} // has an item when requests have arrived while the leader works
	// unchecked is for tests. They need a message that only the broker rejects, among valid ones.
	unchecked bool
	// consumers counts the consumer tags that were generated.
	consumers atomic.Int64
	silent    atomic.Bool // the broker has not answered when the last subscription was closed
	// progress is when the broker last confirmed a message or began to have one to confirm: a Duration since born.
	progress atomic.Int64
	born     time.Time

	mu     sync.Mutex // guards the fields below
	closed bool
	noted  map[string]bool                   // warnings about queues that were logged
	types  map[parley.ExchangeType]knowledge // of plugins
	queue  []*request
	led    chan struct{} // closed when the leader has ended; nil without a leader

	pipe *pipeline // belongs to the leader
}

// New returns a broker. It connects on first use.
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
	// With a fixed first node, all clients of a cluster would connect to it, and all queues would have their leaders there.
	first := rand.N(len(b.addresses))
	b.publish = &link{b: b, role: "publish", next: first}
	b.consume = &link{b: b, role: "consume", next: first}
	b.pipe = &pipeline{b: b}
	return b, nil
}

// String returns the hosts without credentials.
func (b *Broker) String() string { return "rabbitmq.Broker(" + hosts(b.addresses) + ")" }

// GoString returns String: %#v must not print a password either.
func (b *Broker) GoString() string { return b.String() }

// closeTimeout is how long Close may take when its context has no deadline.
const closeTimeout = 5 * time.Second

// Close rejects new messages, waits for the outcomes of those in flight, closes all
// connections and joins all goroutines. Open subscriptions are lost: close them first,
// so that their settlements arrive. Close stops waiting when ctx ends, or after 5s
// if ctx has no deadline; the outcomes of the remaining messages are then unknown. It stops waiting earlier if the
// broker did not answer when the last subscription was closed, or has confirmed nothing for 5s. So an unresponsive
// broker delays a shutdown only once.
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

// awaitOutcomes waits for the end of the leader. It returns false if ctx ends first, or if the broker has confirmed nothing
// for closeTimeout: the shutdown may have waited for this broker already.
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

// spawn runs f in a goroutine that Close joins. After Close has begun it returns false and does not run f.
func (b *Broker) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.wg.Go(f)
	return true
}

// callWithContext runs f, which calls the broker, until ctx ends. The library's calls
// take no context: a call that hangs ends with its connection, which heartbeats watch.
// A result that f returns after ctx has ended is discarded.
func callWithContext[T any](ctx context.Context, b *Broker, f func() (T, error), discard func(T)) (T, error) {
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

// State is the state of the connections, for health checks.
type State struct {
	// Publishing and Consuming report whether each connection is open.
	Publishing, Consuming bool
	// Blocked is the broker's reason for refusing publications, or "".
	Blocked string
	// Failure is why a connection cannot be opened, or nil. FailingSince is when the attempts began to fail.
	Failure      error
	FailingSince time.Time
}

// State returns the current state.
func (b *Broker) State() State {
	p, c := b.publish.current(), b.consume.current()
	s := State{Publishing: p != nil, Consuming: c != nil}
	if p != nil {
		_, s.Blocked = p.blocking()
	}
	for _, l := range []*link{b.publish, b.consume} {
		if since, err := l.failing(); err != nil && (s.Failure == nil || since.Before(s.FailingSince)) {
			s.Failure, s.FailingSince = err, since
		}
	}
	return s
}

// Ready implements parley.Publisher. If ctx ends first, the error also says why there is no
// connection.
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
			return fmt.Errorf("rabbitmq: wait for the broker: publications blocked (%s): %w", reason, ctx.Err())
		case <-b.life.Done():
			return parley.ErrClosed
		case <-unblocked:
		case <-s.done:
		}
	}
}
