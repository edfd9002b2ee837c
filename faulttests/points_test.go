//go:build unix

package faulttests_test

import "fmt"

// A point is the name of a failpoint, a place in a program where a child kills or stops itself.
// Search for failpoint.Hit to find the library's places. Those that begin with "victim" are in folder victim.
type point string

// The relay's points.
const (
	beforePublish point = "relay.claimed"
	// midPublish is when the first half of a full batch is in flight. A child that stops there uses a window of
	// half a batch, so that it flushes the first half before it continues.
	midPublish   point = "rabbitmq.flushed"
	midConfirm   point = "rabbitmq.confirmed"
	afterPublish point = "relay.confirmed"
	midDelete    point = "store.deleted"
	afterDelete  point = "store.committing"
	afterCommit  point = "store.committed"
)

// The consumer's points. A consumer without an inbox does not pass those of its transaction.
const (
	beforeHandler     point = "consumer.handling"
	afterRecord       point = "inbox.recorded"
	afterEffect       point = "inbox.committing"
	afterEffectCommit point = "inbox.committed"
	beforeAck         point = "consumer.handled"
	afterAck          point = "consumer.acked"
	afterRetryQueue   point = "consumer.retried"
	afterPark         point = "consumer.parked"
)

// The points of a consumer with a failure store.
const (
	beforeKeepCommit point = "failures.keeping"
	afterKeep        point = "consumer.kept"
	afterClaim       point = "consumer.claimed"
	afterDoneIn      point = "inbox.done"
	beforePromotion  point = "consumer.promoting"
	// beforeRowDone is after a handler without a transaction has returned and before its row is deleted.
	beforeRowDone point = "consumer.settling"
)

// The producer's points.
const (
	beforeInsert      point = "outbox.inserting"
	afterInsert       point = "outbox.inserted"
	afterLedger       point = "victim.committing"
	afterLedgerCommit point = "victim.committed"
)

// fault returns the fault at a point in the syntax of package failpoint.
func (s childSpec) fault() string {
	if s.Point == "" {
		return s.Fault
	}
	action := "kill"
	if s.Freeze {
		action = "stop"
	}
	own := fmt.Sprintf("%s:%d:%s", s.Point, max(s.Pass, 1), action)
	if s.Fault != "" {
		own += ";" + s.Fault
	}
	return own
}
