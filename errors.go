package parley

import (
	"errors"
	"fmt"
	"strconv"
)

// Errors that callers decide by, with errors.Is.
var (
	// ErrInvalid is matched by every error about bad input: nothing was written or
	// sent, and a surrounding transaction is still usable. See InvalidError.
	ErrInvalid = errors.New("invalid input")
	// ErrUnroutable: the broker took the message but no queue is bound for it. See UnroutableError.
	ErrUnroutable = errors.New("unroutable")
	// ErrRejected: the broker refused the message this time (basic.nack, a full queue).
	ErrRejected = errors.New("rejected by the broker")
	// ErrRefused: the broker can never accept the message as it is: its exchange is
	// missing, access is denied, or it is too large. See RefusedError.
	ErrRefused = errors.New("refused by the broker")
	// ErrUnknown: the connection ended, or the context did, before the broker
	// answered. The message may have arrived.
	ErrUnknown = errors.New("outcome unknown: the message may have arrived")
	// ErrStandby: another relay is active on this outbox.
	ErrStandby = errors.New("another relay is active")
	// ErrStale: the delivery's broker session has ended; the broker delivers it again.
	ErrStale = errors.New("stale delivery: its session has ended")
	// ErrSettled: the delivery was settled before.
	ErrSettled = errors.New("delivery already settled")
	// ErrSubscriptionLost: the subscription ended without being closed by us: the
	// connection was lost, the queue deleted or the consumer cancelled by the broker.
	ErrSubscriptionLost = errors.New("subscription lost")
	// ErrDuplicate: the inbox knows the message; its effect has happened before.
	ErrDuplicate = errors.New("duplicate message")
	// ErrClosed: the broker, store or client was closed by its owner.
	ErrClosed = errors.New("closed")
)

// An InvalidError tells which input was wrong and how to mend it. errors.Is(err, ErrInvalid) holds.
type InvalidError struct {
	// What names the input: "exchange", "routing key", "payload", "body", "tags".
	What string
	// Value is the input, shortened; empty for payloads.
	Value string
	// Problem says what is wrong with it and how to mend it.
	Problem string
	// Err is the cause, if there is one.
	Err error
}

func (e *InvalidError) Error() string {
	s := e.What
	if e.Value != "" {
		s += " " + strconv.Quote(shorten(e.Value, 80))
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// An UnroutableError says where a message that no queue took was published to.
type UnroutableError struct {
	Exchange   string
	RoutingKey string
}

func (e *UnroutableError) Error() string {
	return fmt.Sprintf("no queue bound to exchange %q for routing key %q (is the consumer's topology declared?)", e.Exchange, e.RoutingKey)
}

// Is makes errors.Is(err, ErrUnroutable) true.
func (e *UnroutableError) Is(target error) bool { return target == ErrUnroutable }

// A RefusedError says why the broker can never accept a message as it is.
type RefusedError struct {
	Exchange   string
	RoutingKey string
	// Reason is the broker's reply text or the driver's own check.
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused: exchange %q, routing key %q: %s", e.Exchange, shorten(e.RoutingKey, 80), e.Reason)
}

// Is makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
