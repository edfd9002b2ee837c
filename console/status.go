package console

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// Status is the state of a service at one moment.
type Status struct {
	// At is when it was read.
	At time.Time
	// Relay is the state of the outbox; nil without a database.
	Relay *RelayStatus
	// Queues are the queues of the service.
	Queues []QueueStatus
	// Retries are the failed deliveries that wait, by consumer.
	Retries []RetryStatus
	// Parked are the places that have parked messages.
	Parked []ParkedStatus
	// Pauses are what operators have paused.
	Pauses []PauseStatus
	// Process is the state of each part of this process: "ok", or the problem.
	Process map[string]string
	// Errors are the last errors of messages that are still stored, the newest first.
	Errors []LastError
	// Problems are the things that need a person, Unknown the parts that could not be read.
	Problems, Unknown []string
}

// PauseStatus is a part that an operator has paused.
type PauseStatus struct {
	What, By, Reason string
	Until            time.Time
}

// Verdict returns "healthy", "unhealthy", "unknown" if a part could not be read and no problem is known, or "paused" if something is
// paused and all else is healthy.
func (s *Status) Verdict() string {
	switch {
	case len(s.Problems) > 0:
		return "unhealthy"
	case len(s.Unknown) > 0:
		return "unknown"
	case len(s.Pauses) > 0:
		return "paused"
	}
	return "healthy"
}

// RelayStatus is the state of an outbox and its relay.
type RelayStatus struct {
	// Leader describes the leading relay, or says why it is not known.
	Leader string
	// Lag is how long the oldest due record has been due.
	Lag                      time.Duration
	Due, Scheduled, NeverDue Count
}

// QueueStatus is the state of a queue.
type QueueStatus struct {
	Name string
	// Role is "queue", "retry" or "parked".
	Role                string
	Messages, Consumers int
	// Missing reports whether the broker has no such queue.
	Missing bool
}

// RetryStatus is the state of the failed deliveries of one consumer.
type RetryStatus struct {
	Consumer                 string
	Waiting, Behind, Running Count
	// Overdue is how long the most overdue delivery has been due.
	Overdue time.Duration
}

// ParkedStatus is the state of one place of parked messages.
type ParkedStatus struct {
	// Place is "outbox", "consumer" or "queue"; Name is the consumer or the queue.
	Place, Name string
	Count       Count
	// Oldest is how long ago the oldest message was parked; 0 if that is not known.
	Oldest time.Duration
}

// LastError is the error of a message that waits for a retry or is parked.
type LastError struct {
	// ID is the id as in the list of parked messages.
	ID                           string
	At                           time.Time
	State, Consumer, Route, Text string
}

// Count is a number of rows, which may be a lower bound.
type Count struct {
	N int64
	// AtLeast reports whether there may be more.
	AtLeast bool
}

// String returns texts such as "12" and "10000 or more".
func (c Count) String() string {
	if c.AtLeast {
		return fmt.Sprintf("%d or more", c.N)
	}
	return fmt.Sprint(c.N)
}

// Topology is what a service has on the broker and which handlers it has.
type Topology struct {
	// Bindings lead from exchanges to queues.
	Bindings []parley.Binding
	// Queues have their depth, or Missing.
	Queues []QueueStatus
	// Routes lead from queues to handlers.
	Routes []Route
	// Notes are sentences about parts that could not be read.
	Notes []string
}

// Route is a handler with the messages that it gets.
type Route struct {
	Queue, Exchange, Pattern string
	// Handler is the place of its registration.
	Handler string
	// Problem says what is missing, or is "".
	Problem string
}

// cacheTime is how long a status serves all viewers.
const cacheTime = 2 * time.Second

// readTimeout is the longest time that a page waits for servers.
const readTimeout = 5 * time.Second

// cache keeps the last status, so that many open pages cost as much as one.
type cache struct {
	mu   sync.Mutex // guards the fields below
	at   time.Time
	last *Status
	err  error
}

// read returns a status that is at most cacheTime old. One caller reads it, the others wait.
func (c *cache) read(ctx context.Context, now func() time.Time, read func(context.Context) (*Status, error)) (*Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && now().Sub(c.at) < cacheTime {
		return c.last, c.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout) // a viewer that leaves must not spoil it for the others
	defer cancel()
	c.last, c.err = read(ctx)
	c.at = now()
	return c.last, c.err
}
