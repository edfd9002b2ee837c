package parley

import "time"

// RelayHooks are called by a relay as things happen, from its own goroutines; they
// must not block. Nil fields are skipped. They carry metrics and tests.
type RelayHooks struct {
	// Batch reports a finished batch.
	Batch func(BatchReport)
	// Unroutable reports a record that no queue took, and what became of it.
	Unroutable func(r Record, done UnroutablePolicy)
	// Parked reports a record that was set aside.
	Parked func(r Record, reason string)
	// Foreign reports records that somebody else deleted while this relay had them in hand.
	Foreign func(n int)
	// State reports a change of what the relay is doing.
	State func(RelayState)
	// Err reports an error that the relay goes on after.
	Err func(err error)
}

// A BatchReport tells how one batch of a relay went.
type BatchReport struct {
	// Records were claimed; Accepted of them went to a queue. The others were
	// unroutable, rejected for now, refused for good, or their outcome is unknown.
	Records, Accepted, Unroutable, Rejected, Refused, Unknown int
	// Full tells that the batch was as large as it may be: there may be more at once.
	Full bool
	// Claim, Publish and Settle are the times of the three steps.
	Claim, Publish, Settle time.Duration
	// Oldest is how long ago the first record was created, by this process's clock.
	Oldest time.Duration
}

// RelayState is what a relay is doing.
type RelayState string

// The states of a relay.
const (
	RelayStarting      RelayState = "starting"
	RelayActive        RelayState = "active"
	RelayStandby       RelayState = "standby"
	RelayWaitsBroker   RelayState = "waiting for the broker"
	RelayWaitsDatabase RelayState = "waiting for the database"
	RelayStopped       RelayState = "stopped"
)

// ConsumerHooks are called by a consumer as things happen, from its own
// goroutines; they must not block. Nil fields are skipped.
type ConsumerHooks struct {
	// Start is called before a delivery is handled.
	Start func(d *Delivery)
	// Done is called when this process is done with a delivery.
	Done func(ConsumerReport)
	// Unhandled is called for a delivery that no route takes.
	Unhandled func(d *Delivery)
	// Stale is called when a settlement came too late: the delivery comes again.
	Stale func(d *Delivery)
	// Subscribed is called with true when the consumer has subscribed and with false when
	// it has lost its subscription, with the cause.
	Subscribed func(up bool, cause error)
	// Paused is called when the kill switch has stopped consuming, with the cause.
	Paused func(cause error)
	// Stuck is called for a handler that ignores the end of its context.
	Stuck func(d *Delivery, running time.Duration)
}
