// Package status computes the state of a service: relay, queues, retries, parked messages and last errors. `parley status` prints
// it, and /readyz reports the part that concerns the process.
//
// Reading a status never counts more than [Limit] rows of a kind, so it is as cheap on a table of millions as on a small one.
package status

import (
	"encoding/json"
	"fmt"
	"time"
)

// Limit is where counts stop: a [Count] of Limit means "this many or more".
const Limit = 10_000

// Status is the state of a service at one moment. Its JSON form is stable: members are only added.
type Status struct {
	// At is the time of the computer that read the status.
	At    time.Time `json:"at"`
	AppID string    `json:"app_id"`
	// Relay is the state of the outbox and its relay; nil without a database.
	Relay *Relay `json:"relay"`
	// Queues are the queues of the settings, and with retries in queues their retry queues; empty without a broker.
	Queues []Queue `json:"queues"`
	// Retries are the failed deliveries in the database, by consumer. All consumers with rows are listed.
	Retries []Retries `json:"retries"`
	// Parked are the places that have parked messages.
	Parked []Parked `json:"parked"`
	// Pauses are what operators have paused, the one that ends first at the front.
	Pauses []Pause `json:"pauses"`
	// Process is the state of each part of the process that has read the status; nil in a command.
	Process map[string]string `json:"process,omitempty"`
	// Errors are the last errors of messages that are still stored, the newest first.
	Errors []LastError `json:"last_errors"`
	// Problems are the things that need a person.
	Problems []string `json:"problems"`
	// Unknown are the parts that could not be read, with the reason.
	Unknown []string `json:"unknown"`
}

// Pause is a part of the service that an operator has paused.
type Pause struct {
	// What names the part, such as "relay exchange shop".
	What   string    `json:"what"`
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Relay is the state of an outbox.
type Relay struct {
	// Leader describes the relay that leads; "" if the database shows none.
	Leader string `json:"leader"`
	// LeaderNote says why the leader is not known, or "".
	LeaderNote string `json:"leader_note,omitempty"`
	// Lag is how long the oldest due record has been due.
	Lag Seconds `json:"lag_seconds"`
	// OldestDue is the time at which it became due; nil if none is due.
	OldestDue *time.Time `json:"oldest_due_at"`
	Due       Count      `json:"due"`
	Scheduled Count      `json:"scheduled"`
	// NeverDue counts rows that can never become due (Django's table only).
	NeverDue Count `json:"never_due"`
}

// Queue is the state of a queue.
type Queue struct {
	Name      string `json:"name"`
	Messages  int    `json:"messages"`
	Consumers int    `json:"consumers"`
	// Role is "queue", "retry" or "parked".
	Role string `json:"role"`
	// Missing reports whether the broker has no such queue.
	Missing bool `json:"missing"`
}

// Retries is the state of the failed deliveries of one consumer.
type Retries struct {
	Consumer string `json:"consumer"`
	// Own reports whether the settings have this consumer.
	Own     bool  `json:"own"`
	Waiting Count `json:"waiting"`
	// Behind counts deliveries behind an earlier one of their ordering key.
	Behind  Count `json:"behind"`
	Running Count `json:"running"`
	// Overdue is how long the most overdue delivery has been due.
	Overdue Seconds `json:"overdue_seconds"`
}

// Parked is the state of one place of parked messages.
type Parked struct {
	// Place is "outbox", "consumer" or "queue"; Name is the name of the consumer or the queue.
	Place string `json:"place"`
	Name  string `json:"name,omitempty"`
	Count Count  `json:"count"`
	// Oldest is how long ago the oldest message was parked; 0 if that is not known.
	Oldest Seconds `json:"oldest_seconds"`
}

// LastError is the error of a message that waits for a retry or is parked.
type LastError struct {
	// ID is the id for the command parked.
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	State    string    `json:"state"`
	Consumer string    `json:"consumer,omitempty"`
	// Route is exchange/routing key.
	Route string `json:"route"`
	Error string `json:"error"`
}

// Count is a number of rows that may be a lower bound.
type Count struct {
	N int64 `json:"n"`
	// AtLeast reports whether there may be more.
	AtLeast bool `json:"at_least"`
}

// CountOf returns the count for a number that was counted up to [Limit].
func CountOf(n int64) Count { return Count{N: n, AtLeast: n >= Limit} }

// String returns texts such as "12" and ">= 10000".
func (c Count) String() string {
	if c.AtLeast {
		return fmt.Sprintf(">= %d", c.N)
	}
	return fmt.Sprint(c.N)
}

func (c Count) plus(other Count) Count { return Count{c.N + other.N, c.AtLeast || other.AtLeast} }

// Seconds is a duration that is a number of seconds in JSON.
type Seconds time.Duration

// MarshalJSON returns the seconds, with milliseconds as the fraction.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Round(time.Millisecond).Seconds())
}

// String returns a rounded duration such as 110ms, 3s or 2h5m0s.
func (s Seconds) String() string {
	d := time.Duration(s)
	switch {
	case d == 0:
		return "0s"
	case d < time.Second:
		return max(time.Millisecond, d.Round(time.Millisecond)).String()
	default:
		return d.Round(time.Second).String()
	}
}
