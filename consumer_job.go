package parley

import (
	"errors"
	"sync/atomic"
	"time"
)

// A job is a delivery and the state of its attempts. One goroutine at a time owns it: the session
// that makes it, then the scheduler, then the worker that takes a step.
type job struct {
	d      *Delivery
	route  *Route
	key    string    // the ordering key; "" for none
	digest uint64    // of the message, if it has an ordering key and comes from the broker
	row    *rowClaim // the claimed row of the failure store; nil for a delivery from the broker

	tries    int // attempts since it was delivered or claimed
	retries  int // retry delays that are used up since the last replay
	began    time.Time
	took     time.Duration
	settled  bool         // at the broker
	unstored bool         // it cannot be stored and stays in hand
	repeated bool         // its last two attempts failed with the same error
	exited   bool         // its handler has ended its goroutine
	verdict  verdict      // decided and not yet carried out
	alone    bool         // nothing else may be in hand while it runs
	handler  atomic.Int32 // see lateHandlers

	planned  time.Time // when the current delay of a probe's plan ends
	due      time.Time // when its delay ends
	replaced bool      // another worker has taken over
}

type action int

const (
	actNone     action = iota
	actAck             // ack it, or delete its row
	actWait            // retry in this process
	actRetry           // retry later, from the failure store or a retry queue
	actAppend          // store it behind the rows of its key
	actPark            // park it
	actPostpone        // not attempted yet: check again in this process
	actReturn          // leave it as it is: it returns to its queue, or becomes due again
	actAbandon         // another process has claimed it
)

// A verdict is the decision on a delivery.
type verdict struct {
	action  action
	wait    time.Duration
	putOff  bool // the retry does not use up the plan
	begun   int  // number of begun attempts, for a row that must run alone
	outcome Outcome
	err     error
	pause   string // group of the operator's pause that moves it to the failure store
}

var (
	errHandlerTimeout   = errors.New("handler did not return in time")
	errPausedByOperator = errors.New("paused by an operator")
	errUnhandled        = errors.New("no handler for its exchange and routing key")
	errRedelivered      = errors.New("redelivered without being settled (does its handler crash the process?)")
)

// newJob finds the origin of a delivery and its handler.
func (c *Consumer) newJob(d *Delivery) *job {
	j := &job{d: d}
	d.keyRules = c.cfg.KeyRules
	if err := restore(d, c.secrets); err != nil {
		j.verdict = verdict{action: actPark, err: err}
		return j
	}
	c.address(j)
	if j.key != "" {
		j.digest = digestOf(d) // before its handler may change the body
	}
	if reason := d.Header(HeaderUnreadable); reason != "" {
		j.verdict = verdict{action: actPark, err: &MalformedError{Part: "headers", Err: errors.New(shorten(reason, 500))}}
	}
	c.guard(j)
	return j
}
