package parleytest

import (
	"time"

	"github.com/parley-go/parley"
)

var copyPromises = []brokerPromise{
	{"PriorityAndExpirationSurvive", priorityAndExpirationSurvive},
	{"ExpiredMessagesLeaveTheirQueue", expiredMessagesLeaveTheirQueue},
	{"CopiesGoNowhereElse", copiesGoNowhereElse},
	{"NothingIsDeclaredForReplies", nothingIsDeclaredForReplies},
	{"QueuesWithARoleCanBeDeclaredAgain", queuesWithARole},
	{"RetryQueuesGiveBack", retryQueuesGiveBack},
	{"AllAreDeliveredAfterTheFirst", allAreDeliveredAfterTheFirst},
}

func priorityAndExpirationSurvive(b *brokerTest) {
	q := b.queue(parley.Queue{})
	sent := message("", q, "1")
	sent.Priority, sent.Expiration, sent.UserID = 7, time.Hour+time.Nanosecond, "another-user"
	b.publish(sent)
	got := b.collect(q)[0]
	if got.Priority != 7 || got.Expiration != time.Hour+time.Millisecond {
		b.Errorf("priority %d and expiration %v have arrived, want 7 and 1h0m0.001s: rounded up to milliseconds", got.Priority, got.Expiration)
	}
	if got.UserID == "another-user" {
		b.Error("the user id was published: RabbitMQ refuses a message with the id of another user")
	}
}

func expiredMessagesLeaveTheirQueue(b *brokerTest) {
	dead := b.queue(parley.Queue{})
	q := b.queue(parley.Queue{DeadLetterTo: dead})
	first, second := message("", q, "expires"), message("", q, "stays")
	first.Expiration = 50 * time.Millisecond
	b.publish(first, second)
	got := b.next(b.subscribe(dead, 1))
	if got.ID != "expires" || got.Expiration != 0 {
		b.Errorf("message %q with the expiration %v is in the dead-letter queue, want %q without an expiration: otherwise it would expire there too", got.ID, got.Expiration, first.ID)
	}
	b.wantIDs(q, "messages without an expiration", "stays")
}

func copiesGoNowhereElse(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "#")
	with := func(exchange, name string, value any) parley.Message {
		m := message(exchange, q, name)
		m.Headers = map[string]any{name: value}
		return m
	}
	list := []any{q}
	b.wantOutcomes(b.broker.Publish(b.ctx, []parley.Message{
		message("", q, "1"), with("", "CC", list), with("", "BCC", list), with(ex, "CC", "text"), with(ex, "BCC", nil), with(ex, "CC", []any{int64(1)}), message("", q, "2"),
	}), nil, parley.ErrRefused, parley.ErrRefused, parley.ErrRefused, parley.ErrRefused, parley.ErrRefused, nil)
	b.wantIDs(q, "messages whose CC makes RabbitMQ send copies or close the channel are refused", "1", "2")
}

func nothingIsDeclaredForReplies(b *brokerTest) {
	ex := unique("stranger")
	reply := message(ex, "call-response.shop.order", "1")
	reply.Kind = parley.KindReply
	fromPython := message(ex, "call-response.shop.order", "2")
	b.wantOutcomes(b.broker.Publish(b.ctx, []parley.Message{reply, fromPython}), parley.ErrUnroutable, parley.ErrUnroutable)
	err := b.broker.Declare(b.ctx, parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: ex}}})
	b.wantCode(err, 404, "an exchange that only replies were published to")
}

func queuesWithARole(b *brokerTest) {
	target := b.queue(parley.Queue{})
	retry := parley.Queue{Role: parley.QueueRetry, TTL: time.Hour, DeadLetterTo: target}
	parked := parley.Queue{Role: parley.QueueParked}
	retry.Name, parked.Name = b.queue(retry), b.queue(parked)
	for _, q := range []parley.Queue{retry, parked} {
		b.publish(message("", q.Name, "1"))
		b.declare(parley.Topology{Queues: []parley.Queue{q}})
		b.declare(parley.Topology{Mode: parley.TopologyVerify, Queues: []parley.Queue{q}})
		b.wantIDs(q.Name, "after it was declared again", "1")
	}
}

func retryQueuesGiveBack(b *brokerTest) {
	target := b.queue(parley.Queue{})
	retry := b.queue(parley.Queue{Role: parley.QueueRetry, TTL: 100 * time.Millisecond, DeadLetterTo: target})
	s := b.subscribe(target, 10)
	b.publish(messages("", retry, 5)...)
	for range 5 {
		b.settle(b.next(s), parley.SettleAck)
	}
}

// A driver may deliver few messages at first, but not indefinitely.
func allAreDeliveredAfterTheFirst(b *brokerTest) {
	q := b.queue(parley.Queue{})
	b.publish(messages("", q, 20)...)
	s, err := b.broker.Subscribe(b.ctx, q, parley.SubscribeOptions{Prefetch: 20, First: 2, SharedQueue: true})
	b.must(err, "subscribe")
	b.settle(b.next(s), parley.SettleAck)
	b.settle(b.next(s), parley.SettleAck)
	for range 18 {
		b.next(s) // all of them are in hand at last
	}
	b.close(s)
	if n := len(b.collect(q)); n != 18 {
		b.Errorf("%d messages remain after 2 of 20 were acked, want 18", n)
	}
}
