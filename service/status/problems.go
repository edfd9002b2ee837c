package status

import (
	"fmt"
	"time"
)

const (
	// longLag is the lag from which on a status reports a problem. It is the default of `parley check`.
	longLag = 10 * time.Second
	// longOverdue is the same for retries.
	longOverdue = time.Minute
)

// problems returns a text for each thing that needs a person.
func problems(s *Status) []string {
	out := []string{}
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r := s.Relay; r != nil {
		if time.Duration(r.Lag) > longLag {
			add("events are due, the oldest for %s (is a relay running, and can it reach the broker?)", r.Lag)
		}
		if r.NeverDue.N > 0 {
			add("rows of the outbox can never become due: they have no due time (delete them, or set their due time)")
		}
	}
	for i := range s.Queues {
		switch q := &s.Queues[i]; {
		case q.Missing:
			add("queue %q does not exist (start its consumer, or run: topology apply)", q.Name)
		case q.Role == "queue" && q.Consumers == 0 && q.Messages > 0:
			add("queue %q has messages but no consumer (start its consumer)", q.Name)
		}
	}
	for i := range s.Retries {
		if r := &s.Retries[i]; time.Duration(r.Overdue) > longOverdue {
			add("retries of consumer %q are overdue, the oldest for %s (is the consumer running, subscribed and not paused?)", r.Consumer, r.Overdue)
		}
	}
	if n := s.ParkedInAll(); n.N > 0 {
		add("parked messages: %s (list them with: parked ls)", n)
	}
	return out
}

// ParkedInAll returns the number of parked messages in all places.
func (s *Status) ParkedInAll() (n Count) {
	for i := range s.Parked {
		n = n.plus(s.Parked[i].Count)
	}
	return n
}
