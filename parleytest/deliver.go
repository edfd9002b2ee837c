package parleytest

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A Contract makes outbox records of payloads: *parley.EventType and its like do.
type Contract[T any] interface {
	Record(payload T, options ...parley.Option) (parley.Record, error)
}

var lastNumber atomic.Int64

// NewMessage returns the message that publishing payload would send, numbered as a
// database would have done it: something to [Deliver].
func NewMessage[T any](t testing.TB, c Contract[T], payload T, options ...parley.Option) parley.Message {
	t.Helper()
	rec, err := c.Record(payload, options...)
	if err != nil {
		t.Fatalf("make a message: %v", err)
	}
	rec.Body = parley.FinishBody(rec.Kind, lastNumber.Add(1), rec.Body)
	return rec.Message
}

// Deliver runs one message through a router, as a consumer would, and returns the
// handler's error: nil if the message would be acknowledged. A panic is a
// *parley.PanicError; a message that no route takes is an error too.
func Deliver(t testing.TB, r *parley.Router, m parley.Message) error {
	t.Helper()
	return deliver(t, r, []parley.Message{m})[0]
}

// deliver runs messages through a router, one after another.
func deliver(t testing.TB, r *parley.Router, messages []parley.Message) []error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var errs []error // written by the only lane, read after Run has returned
	c, err := parley.NewConsumer(&stage{messages: messages}, r, &parley.ConsumerConfig{
		Queue: "parleytest", Lanes: 1, Prefetch: 1, RetryDelay: time.Nanosecond,
		Unhandled: parley.UnhandledFail, Logger: slog.New(slog.DiscardHandler),
		Hooks: parley.ConsumerHooks{Done: func(_ *parley.Delivery, err error, _ time.Duration) {
			if errs = append(errs, err); len(errs) == len(messages) {
				stop()
			}
		}},
	})
	if err == nil {
		err = c.Run(ctx)
	}
	if err != nil {
		t.Fatalf("deliver to a router: %v", err)
	}
	if len(errs) < len(messages) {
		t.Fatalf("deliver to a router: stopped after %d of %d messages: %v", len(errs), len(messages), t.Context().Err())
	}
	return errs
}

// A stage is a broker that delivers given messages, one when the last one is settled.
type stage struct {
	messages []parley.Message
	settled  chan struct{}
}

func (*stage) Ready(context.Context) error                       { return nil }
func (*stage) Publish(context.Context, []parley.Message) []error { return nil }
func (*stage) Declare(context.Context, parley.Topology) error    { return nil }
func (*stage) Close() error                                      { return nil }
func (s *stage) Settle(parley.Settlement) error                  { s.settled <- struct{}{}; return nil }

func (s *stage) Subscribe(context.Context, string, parley.SubscribeOptions) (parley.Subscription, error) {
	s.settled = make(chan struct{}, 1)
	s.settled <- struct{}{} // the first message waits for nobody
	return s, nil
}

func (s *stage) Next(ctx context.Context) (*parley.Delivery, error) {
	if len(s.messages) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.settled:
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return parley.NewDelivery(m, "parleytest", false, s), nil
}

// NewDelivery returns a delivery of m, for tests of handlers and middleware, and
// what becomes of it.
func NewDelivery(m parley.Message) (*parley.Delivery, *Settled) {
	s := &Settled{}
	return parley.NewDelivery(m, "parleytest", false, s), s
}

// Settled tells how a delivery of [NewDelivery] was settled. It is safe for concurrent use.
type Settled struct {
	mu   sync.Mutex // guards the fields below
	how  parley.Settlement
	done bool
}

// Settle implements parley.Acknowledger.
func (s *Settled) Settle(how parley.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.how, s.done = how, true
	return nil
}

// Settlement returns how the delivery was settled; ok is false if it was not.
func (s *Settled) Settlement() (how parley.Settlement, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.how, s.done
}
