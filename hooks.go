package parley

import "time"

// RelayHooks are called by a relay from its own goroutines; they
// must not block. Nil fields are skipped. They serve metrics and tests. [RelayHooks.Then] composes them.
type RelayHooks struct {
	// Batch reports a finished batch.
	Batch func(BatchReport)
	// Unroutable reports a record that no queue is bound for, and what happened to it.
	Unroutable func(r Record, done UnroutablePolicy)
	// Parked reports a record that was parked.
	Parked func(r Record, reason string)
	// DeletedElsewhere reports how many claimed records another process deleted.
	DeletedElsewhere func(n int)
	// Kept reports a record that was published but not deleted, because the row with its id has changed: it is
	// another record (after a restore of an older database), or was rescheduled meanwhile. It is published
	// when it is due.
	Kept func(sent, found SentRecord)
	// Blocked reports the sessions that keep due records locked for longer than a second.
	Blocked func([]Blocker)
	// State reports a new state of the relay.
	State func(RelayState)
	// Err reports an error after which the relay continues.
	Err func(err error)
}

// A BatchReport describes one batch of a relay.
type BatchReport struct {
	// Records is the size of the batch; Accepted of them went to a queue. The others were
	// unroutable, rejected for now, refused permanently, or their outcome is unknown.
	Records, Accepted, Unroutable, Rejected, Refused, Unknown int
	// Full reports whether the batch had its maximum size: more records may be due at once.
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
	RelayPaused        RelayState = "paused by an operator"
	RelayStopped       RelayState = "stopped"
)

// ConsumerHooks are called by a consumer from its own
// goroutines; they must not block. Nil fields are skipped. [ConsumerHooks.Then] composes them.
type ConsumerHooks struct {
	// Start is called before a delivery is handled.
	Start func(d *Delivery)
	// Done is called when this process has finished with a delivery.
	Done func(ConsumerReport)
	// Unhandled is called for a delivery that matches no route.
	Unhandled func(d *Delivery)
	// Stale is called when a settlement came too late: the message is redelivered.
	Stale func(d *Delivery)
	// Subscribed is called with true when the consumer has subscribed, and with false and the cause when
	// it has lost its subscription.
	Subscribed func(up bool, cause error)
	// Unstored is called for a failed delivery that cannot be stored: it stays unacked until it is stored.
	Unstored func(d *Delivery, err error)
	// Paused is called with the cause when the kill switch has paused consumption.
	Paused func(cause error)
	// Stuck is called for a handler that is still running after its context ended.
	Stuck func(d *Delivery, running time.Duration)
}

// Then returns hooks that call those of h first and those of next second.
// Fields that are nil in both stay nil.
func (h RelayHooks) Then(next RelayHooks) RelayHooks {
	return RelayHooks{
		Batch:            both(h.Batch, next.Batch),
		Unroutable:       bothOfTwo(h.Unroutable, next.Unroutable),
		Parked:           bothOfTwo(h.Parked, next.Parked),
		DeletedElsewhere: both(h.DeletedElsewhere, next.DeletedElsewhere),
		Kept:             bothOfTwo(h.Kept, next.Kept),
		Blocked:          both(h.Blocked, next.Blocked),
		State:            both(h.State, next.State),
		Err:              both(h.Err, next.Err),
	}
}

// Then returns hooks that call those of h first and those of next second.
// Fields that are nil in both stay nil.
func (h ConsumerHooks) Then(next ConsumerHooks) ConsumerHooks {
	return ConsumerHooks{
		Start:      both(h.Start, next.Start),
		Done:       both(h.Done, next.Done),
		Unhandled:  both(h.Unhandled, next.Unhandled),
		Stale:      both(h.Stale, next.Stale),
		Subscribed: bothOfTwo(h.Subscribed, next.Subscribed),
		Unstored:   bothOfTwo(h.Unstored, next.Unstored),
		Paused:     both(h.Paused, next.Paused),
		Stuck:      bothOfTwo(h.Stuck, next.Stuck),
	}
}

func both[A any](first, second func(A)) func(A) {
	if first == nil {
		return second
	}
	if second == nil {
		return first
	}
	return func(a A) {
		first(a)
		second(a)
	}
}

func bothOfTwo[A, B any](first, second func(A, B)) func(A, B) {
	if first == nil {
		return second
	}
	if second == nil {
		return first
	}
	return func(a A, b B) {
		first(a, b)
		second(a, b)
	}
}
