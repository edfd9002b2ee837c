package parleytest

import (
	"sync"
	"sync/atomic"
	"testing"

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
	d, _ := NewDelivery(m)
	return r.Dispatch(t.Context(), d)
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
