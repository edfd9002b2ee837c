package parleytest

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-go/parley"
)

var lastNumber atomic.Int64

// NewEventMessage returns the message that publishing an event with this payload would send, for use with
// [Deliver]. It has an id like one from an outbox.
func NewEventMessage[T any](t testing.TB, e *parley.EventType[T], payload T, options ...parley.PublishOption) parley.Message {
	t.Helper()
	return messageOf(t)(e.Record(payload, options...))
}

// NewCommandMessage is [NewEventMessage] for a command.
func NewCommandMessage[T any](t testing.TB, c *parley.CommandType[T], arguments T, options ...parley.SendTxOption) parley.Message {
	t.Helper()
	return messageOf(t)(c.Record(arguments, options...))
}

// NewCallMessage is [NewEventMessage] for a call.
func NewCallMessage[Req, Resp any](t testing.TB, c *parley.CallType[Req, Resp], request Req, options ...parley.AskOption) parley.Message {
	t.Helper()
	return messageOf(t)(c.Record(request, options...))
}

func messageOf(t testing.TB) func(rec parley.Record, err error) parley.Message {
	return func(rec parley.Record, err error) parley.Message {
		t.Helper()
		if err != nil {
			t.Fatalf("create the message: %v", err)
		}
		rec.Body = parley.FinishBody(rec.Kind, lastNumber.Add(1), rec.Body)
		return rec.Message
	}
}

// Deliver runs one message through a router, as a consumer would, and returns the
// handler's error. It returns nil if the message would be acked. A panic is returned as a
// *parley.PanicError. A message without a matching route is an error too.
func Deliver(t testing.TB, r *parley.Router, m parley.Message) error {
	t.Helper()
	d, _ := NewDelivery(m)
	return r.Dispatch(t.Context(), d)
}

// NewDelivery returns a delivery of m, for tests of handlers and middleware, and a
// record of its settlement.
func NewDelivery(m parley.Message) (*parley.Delivery, *Settled) {
	s := &Settled{}
	return parley.NewDelivery(m, "parleytest", false, s), s
}

// Settled records how a delivery of [NewDelivery] was settled. It is safe for concurrent use.
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

// Settlement returns how the delivery was settled. ok reports whether it was settled.
func (s *Settled) Settlement() (how parley.Settlement, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.how, s.done
}
