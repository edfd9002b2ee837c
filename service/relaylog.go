package service

import (
	"log/slog"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// leadLogInterval is the shortest time between two log lines about the lead: relays that swap it under load would log a
// line each time.
const leadLogInterval = time.Minute

// A stateLog logs the states of a relay. A change between active and standby is logged at most once in
// leadLogInterval; later changes are counted and logged together.
type stateLog struct {
	log *slog.Logger

	mu      sync.Mutex // guards the fields below
	last    parley.RelayState
	changes int         // of the lead, not yet logged
	quiet   *time.Timer // runs until the next change of the lead may be logged; nil if it may be logged now
}

func newStateLog(log *slog.Logger) *stateLog { return &stateLog{log: log} }

// changed logs a new state of the relay. It is a hook of [parley.RelayHooks].
func (l *stateLog) changed(state parley.RelayState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	swapped := ofLead(l.last) && ofLead(state)
	l.last = state
	if !swapped {
		l.report()
		if state == parley.RelayStopped && l.quiet != nil {
			l.quiet.Stop()
			l.quiet = nil
		}
		return
	}
	l.changes++
	if l.quiet == nil {
		l.report()
		l.quiet = time.AfterFunc(leadLogInterval, l.expired)
	}
}

// expired logs the changes that were counted since the last log line.
func (l *stateLog) expired() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quiet == nil {
		return // stopped meanwhile
	}
	l.quiet = nil
	if l.changes > 0 {
		l.report()
		l.quiet = time.AfterFunc(leadLogInterval, l.expired)
	}
}

// report logs the current state. The caller holds mu.
func (l *stateLog) report() {
	if l.changes > 1 {
		l.log.Info("relay: "+string(l.last), "changes_of_the_lead", l.changes)
	} else {
		l.log.Info("relay: " + string(l.last))
	}
	l.changes = 0
}

// ofLead reports whether a relay in this state knows which relay leads.
func ofLead(s parley.RelayState) bool { return s == parley.RelayActive || s == parley.RelayStandby }
