package parley

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// A Handler does the work of one delivery. Nil settles it; an error has it tried
// again by the route's retry policy, and parked in the end. A handler cannot settle
// by itself. Its context ends with the route's timeout or a hard stop.
type Handler interface {
	Handle(ctx context.Context, d *Delivery) error
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ctx context.Context, d *Delivery) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, d *Delivery) error { return f(ctx, d) }

// Middleware wraps a handler: it runs around every delivery of the routes it is used on.
type Middleware func(Handler) Handler

// Timeout gives each attempt d to finish: its context ends then. It cannot stop a
// handler that ignores its context; see ConsumerConfig.HandlerTimeout.
func Timeout(d time.Duration) Middleware {
	return func(next Handler) Handler {
		return HandlerFunc(func(ctx context.Context, dl *Delivery) error {
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			return next.Handle(ctx, dl)
		})
	}
}

// RetryAfter returns an error that has the delivery tried again after about d, at
// the next longer delay of the route's policy, whatever the policy says of its
// kind. It still counts as an attempt.
func RetryAfter(d time.Duration, err error) error { return &outcomeError{retryAfter: d, err: err} }

// Park returns an error that parks the delivery at once, with its history: no
// retry will help.
func Park(err error) error { return &outcomeError{park: true, err: err} }

// Ignore returns an error that settles the delivery as handled; it is counted and logged at debug level.
func Ignore(err error) error { return &outcomeError{ignore: true, err: err} }

type outcomeError struct {
	retryAfter   time.Duration
	park, ignore bool
	err          error
}

func (e *outcomeError) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	switch {
	case e.park:
		return "parked by its handler"
	case e.ignore:
		return "ignored by its handler"
	}
	return "to be retried after " + e.retryAfter.String()
}

func (e *outcomeError) Unwrap() error { return e.err }

// A PanicError is what a panic in a handler becomes.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

var errGoexit = errors.New("handler ended its goroutine (runtime.Goexit)")

// protect runs h and turns a panic into an error: one poisonous message must not
// end the process and bring down every delivery in hand.
func protect(ctx context.Context, h Handler, d *Delivery) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return h.Handle(ctx, d)
}
