package status

import (
	"context"
	"strings"

	"github.com/parley-go/parley"
)

// States of the parts of a process.
const (
	// OK means that a part works.
	OK = "ok"
	// Busy means that the database is reachable but all connections are in use. The process stays ready: requests wait for a
	// connection, and the relay has its own.
	Busy = "busy: all connections are in use"
	// Paused begins the state of a part that an operator has paused. That is no reason to restart the process or to send its requests
	// elsewhere.
	Paused = "paused by an operator"
)

// A RunningRelay is a relay of this process: *parley.Relay.
type RunningRelay interface{ State() parley.RelayState }

// A RunningConsumer is a consumer of this process: *parley.Consumer.
type RunningConsumer interface {
	Subscribed() bool
	Health() error
	Paused() (parley.Pause, bool)
}

// A ConsumerOf is a running consumer with its queue.
type ConsumerOf struct {
	Queue    string
	Consumer RunningConsumer
}

// A Process is what runs in this process. Parts that are nil are left out.
type Process struct {
	Relay     RunningRelay
	Consumers []ConsumerOf
	// Database returns the state of the database: OK, Busy, or the problem.
	Database func(ctx context.Context) string
}

// Ready returns the state of each part: OK, or the problem. A standby relay is ready: another one is active. Causes are only in the
// log, because error texts of drivers and handlers may be confidential.
func (p *Process) Ready(ctx context.Context) map[string]string {
	found := map[string]string{"process": OK}
	for _, c := range p.Consumers {
		name := "consumer"
		if len(p.Consumers) > 1 {
			name = "consumer " + c.Queue
		}
		found[name] = OK
		pause, byOperator := c.Consumer.Paused()
		switch {
		case byOperator:
			found[name] = Paused + ": " + pause.Text()
		case !c.Consumer.Subscribed():
			found[name] = "not subscribed"
		case c.Consumer.Health() != nil:
			found[name] = "paused, or handlers are stuck, or failed deliveries cannot be stored"
		}
	}
	if p.Relay != nil {
		found["relay"] = OK
		if state := p.Relay.State(); state == parley.RelayPaused {
			found["relay"] = Paused
		} else if state != parley.RelayActive && state != parley.RelayStandby {
			found["relay"] = string(state)
		}
	}
	if p.Database != nil {
		found["database"] = p.Database(ctx)
	}
	return found
}

// IsReady reports whether a state of [Process.Ready] lets the process receive work.
func IsReady(state string) bool {
	return state == OK || state == Busy || strings.HasPrefix(state, Paused)
}
