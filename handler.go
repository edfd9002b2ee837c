package parley

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// A Handler handles one delivery. If it returns nil the delivery is acked. An error
// causes retries by the route's policy, and finally parks the delivery. A handler cannot settle
// a delivery. Its context ends with HandlerTimeout or a hard stop.
type Handler interface {
	Handle(ctx context.Context, d *Delivery) error
}

// HandlerFunc adapts a function to a Handler.
type HandlerFunc func(ctx context.Context, d *Delivery) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, d *Delivery) error { return f(ctx, d) }

// Middleware wraps a handler. It runs around every delivery of the routes that use it.
type Middleware func(Handler) Handler

// Timeout limits each attempt to d: then its context ends. It cannot stop a
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

// RetryAfter returns an error that retries the delivery after about d, at the next longer delay of
// the route's policy. It does so even if the policy calls the error permanent. It still counts as
// an attempt.
func RetryAfter(d time.Duration, err error) error { return &outcomeError{retryAfter: d, err: err} }

// Park returns an error that parks the delivery at once, with its history, because no
// retry will help.
func Park(err error) error { return &outcomeError{park: true, err: err} }

// Ignore returns an error that acks the delivery. It is counted as ignored.
func Ignore(err error) error { return &outcomeError{ignore: true, err: err} }

// Ignored reports whether a handler that returns err ignores its delivery: err wraps an error of [Ignore], so the delivery is acked and
// has not failed. Duplicates and expired commands are ignored too. It is for middleware that counts or logs failures.
func Ignored(err error) bool {
	o, ok := errors.AsType[*outcomeError](err)
	return ok && o.ignore
}

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

// A PanicError is the error that a panic in a handler is converted to.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

var errGoexit = errors.New("handler ended its goroutine (runtime.Goexit)")

// protect runs h and converts a panic into an error: one poison message must not
// crash the process with every delivery in hand.
func protect(ctx context.Context, h Handler, d *Delivery) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return h.Handle(ctx, d)
}
