package faulttests_test

import "fmt"

// A point is a place in a program where a child ends or stops itself: a name that package failpoint marks there.
// The library's places are found by searching for failpoint.Hit, those that begin with "victim" are in folder victim.
type point string

// The relay's points.
const (
	beforePublish point = "relay.claimed"
	// midPublish is when the first half of a full batch is on its way: a child that stops there works with a window of
	// half a batch, so that it has to send what it has before it goes on.
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
	afterHop          point = "consumer.hopped"
	afterPark         point = "consumer.parked"
)

// The producer's points.
const (
	beforeInsert      point = "outbox.inserting"
	afterInsert       point = "outbox.inserted"
	afterLedger       point = "victim.committing"
	afterLedgerCommit point = "victim.committed"
)

// fault says what happens where, as package failpoint reads it.
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
