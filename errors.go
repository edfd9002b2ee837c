package parley

import (
	"errors"
	"fmt"
	"strconv"
)

// Sentinel errors, to be checked with errors.Is.
var (
	// ErrInvalid matches every error about invalid input: nothing was written or
	// sent, and a surrounding transaction is still usable. See InvalidError.
	ErrInvalid = errors.New("invalid input")
	// ErrUnroutable means that the broker accepted the message but no queue is bound for it. See UnroutableError.
	ErrUnroutable = errors.New("unroutable")
	// ErrRejected means that the broker rejected the message this time (basic.nack, a full queue).
	ErrRejected = errors.New("rejected by the broker")
	// ErrRefused means that the broker can never accept the message as it is: its exchange is
	// missing, access is denied, or it is too large. See RefusedError.
	ErrRefused = errors.New("refused by the broker")
	// ErrUnknown means that the connection or the context ended before the broker
	// answered. The message may have arrived.
	ErrUnknown = errors.New("outcome unknown: the message may have arrived")
	// ErrStandby means that another relay is active on this outbox.
	ErrStandby = errors.New("another relay is active")
	// ErrStale means that the delivery's broker session has ended; the broker redelivers the message.
	ErrStale = errors.New("stale delivery: its session has ended")
	// ErrSettled means that the delivery was settled before.
	ErrSettled = errors.New("delivery already settled")
	// ErrSubscriptionLost means that the subscription ended although parley did not close it: the
	// connection was lost, the queue deleted or the consumer cancelled by the broker.
	ErrSubscriptionLost = errors.New("subscription lost")
	// ErrDuplicate means that the inbox has the message's identity: its effect has already happened.
	ErrDuplicate = errors.New("duplicate message")
	// ErrNoTables means that the database does not have the tables of the store: the migrations were not applied.
	ErrNoTables = errors.New("tables are missing")
	// ErrClosed means that the broker, store or client was closed by its owner.
	ErrClosed = errors.New("closed")
)

// An InvalidError says which input is invalid and how to fix it. errors.Is(err, ErrInvalid) is true.
type InvalidError struct {
	// What names the input: "exchange", "routing key", "payload", "body", "tags".
	What string
	// Value is the input, shortened; empty for payloads.
	Value string
	// Problem says what is wrong with it and how to fix it.
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

// An UnroutableError has the address of a message that no queue is bound for.
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

// plural returns "1 handler" or "2 handlers".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
