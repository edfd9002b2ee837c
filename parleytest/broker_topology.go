package parleytest

import (
	"errors"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

var topologyPromises = []brokerPromise{
	{"DeclareTwiceIsFine", declareTwiceIsFine},
	{"DeclareConflictIs406", declareConflictIs406},
	{"UnknownExchangeTypeIs503", unknownExchangeTypeIs503},
	{"VerifyMissingIs404", verifyMissingIs404},
	{"VerifyDeclaresAndBindsNothing", verifyBindsNothing},
	{"NoneDeclaresAndChecksNothing", noneDoesNothing},
	{"BindingToNothingIs404", bindingToNothingIs404},
	{"EveryProblemIsReported", everyProblemIsReported},
	{"ExclusiveQueueCanBeConsumed", exclusiveQueueCanBeConsumed},
	{"ExpiredGoToTheDeadLetterQueue", expiredGoToTheDeadLetterQueue},
	{"ExpiredWhileInHandStay", expiredWhileInHandStay},
}

// wantCode fails the test unless err is a declaration error with an AMQP reply code.
func (b *brokerTest) wantCode(err error, code int, what string) {
	b.Helper()
	e, ok := errors.AsType[*parley.TopologyError](err)
	if !ok || e.Code != code {
		b.Errorf("%s: %v, want a *parley.TopologyError with code %d", what, err, code)
	}
}

func declareTwiceIsFine(b *brokerTest) {
	ex, q := unique("exchange"), unique("queue")
	b.forget(ex, deleter.DeleteExchange)
	b.forget(q, deleter.DeleteQueue)
	t := parley.Topology{
		Exchanges: []parley.Exchange{{Name: ex}},
		Queues:    []parley.Queue{{Name: q, TTL: time.Hour, DeadLetterTo: unique("dead")}},
		Bindings:  []parley.Binding{{Queue: q, Exchange: ex, RoutingKey: "a.*"}},
	}
	b.declare(t)
	b.publish(message(ex, "a.b", "1"))
	t.Exchanges[0].Type = parley.ExchangeTopic // the default, spelled out
	b.declare(t)
	t.Mode = parley.TopologyVerify
	b.declare(t)
	b.wantIDs(q, "declared again and verified", "1")
}

func declareConflictIs406(b *brokerTest) {
	ex, q := b.exchange(parley.ExchangeTopic), b.queue(parley.Queue{})
	err := b.broker.Declare(b.ctx, parley.Topology{Exchanges: []parley.Exchange{{Name: ex, Type: parley.ExchangeFanout}}})
	b.wantCode(err, 406, "a topic exchange declared as fanout")
	err = b.broker.Declare(b.ctx, parley.Topology{Queues: []parley.Queue{{Name: q, TTL: time.Minute}}})
	b.wantCode(err, 406, "a queue declared again with a TTL")
	err = b.broker.Declare(b.ctx, parley.Topology{Queues: []parley.Queue{{Name: q, DeadLetterTo: "dead"}}})
	b.wantCode(err, 406, "a queue declared again with a dead-letter queue")
	b.declare(parley.Topology{Exchanges: []parley.Exchange{{Name: ex}}, Queues: []parley.Queue{{Name: q}}})
}

func unknownExchangeTypeIs503(b *brokerTest) {
	ex, other := unique("exchange"), unique("exchange")
	b.forget(other, deleter.DeleteExchange)
	t := parley.Topology{Exchanges: []parley.Exchange{{Name: ex, Type: "x-no-such-type"}, {Name: other}}}
	b.wantCode(b.broker.Declare(b.ctx, t), 503, "an exchange of an unknown type")
	b.declare(parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: other}}})
}

func verifyMissingIs404(b *brokerTest) {
	verify := func(t parley.Topology) error {
		t.Mode = parley.TopologyVerify
		return b.broker.Declare(b.ctx, t)
	}
	ex, q := unique("nowhere"), unique("nowhere")
	b.wantCode(verify(parley.Topology{Exchanges: []parley.Exchange{{Name: ex}}}), 404, "verify a missing exchange")
	b.wantCode(verify(parley.Topology{Queues: []parley.Queue{{Name: q}}}), 404, "verify a missing queue")
	b.wantCode(verify(parley.Topology{Queues: []parley.Queue{{Name: q}}}), 404, "verify the queue again: verifying does not declare")
	b.must(verify(parley.Topology{Exchanges: []parley.Exchange{{Name: b.exchange(parley.ExchangeDirect)}}}), "verify an exchange")
	b.must(verify(parley.Topology{Queues: []parley.Queue{{Name: b.queue(parley.Queue{})}}}), "verify a queue")
}

func verifyBindsNothing(b *brokerTest) {
	ex, q := b.exchange(parley.ExchangeTopic), b.queue(parley.Queue{})
	b.declare(parley.Topology{
		Mode: parley.TopologyVerify, Queues: []parley.Queue{{Name: q}}, Exchanges: []parley.Exchange{{Name: ex}},
		Bindings: []parley.Binding{{Queue: q, Exchange: ex}},
	})
	b.wantOutcomes(b.broker.Publish(b.ctx, []parley.Message{message(ex, "a", "1")}), parley.ErrUnroutable)
}

func noneDoesNothing(b *brokerTest) {
	ex, q := unique("nowhere"), unique("nowhere")
	b.declare(parley.Topology{
		Mode: parley.TopologyNone, Queues: []parley.Queue{{Name: q}}, Exchanges: []parley.Exchange{{Name: ex}},
		Bindings: []parley.Binding{{Queue: q, Exchange: ex}},
	})
	err := b.broker.Declare(b.ctx, parley.Topology{Mode: parley.TopologyVerify, Queues: []parley.Queue{{Name: q}}})
	b.wantCode(err, 404, "the queue that was not declared")
}

func bindingToNothingIs404(b *brokerTest) {
	ex, q, nowhere := b.exchange(parley.ExchangeTopic), b.queue(parley.Queue{}), unique("nowhere")
	err := b.broker.Declare(b.ctx, parley.Topology{Bindings: []parley.Binding{{Queue: nowhere, Exchange: ex}}})
	b.wantCode(err, 404, "bind a missing queue")
	err = b.broker.Declare(b.ctx, parley.Topology{Bindings: []parley.Binding{{Queue: q, Exchange: nowhere}}})
	b.wantCode(err, 404, "bind to a missing exchange")
}

func everyProblemIsReported(b *brokerTest) {
	ex, q, good := unique("nowhere"), unique("nowhere"), b.queue(parley.Queue{})
	err := b.broker.Declare(b.ctx, parley.Topology{
		Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: ex}}, Queues: []parley.Queue{{Name: good}, {Name: q}},
	})
	if err == nil || !strings.Contains(err.Error(), ex) || !strings.Contains(err.Error(), q) || strings.Contains(err.Error(), good) {
		b.Errorf("verify %s, %s and %s: %v, want an error that names both missing ones", ex, good, q, err)
	}
}

func exclusiveQueueCanBeConsumed(b *brokerTest) {
	q := b.queue(parley.Queue{Exclusive: true})
	s := b.subscribe(q, 1)
	b.publish(message("", q, "1"))
	b.wantNext(s, "1", false)
}

func expiredGoToTheDeadLetterQueue(b *brokerTest) {
	dead := b.queue(parley.Queue{})
	q := b.queue(parley.Queue{TTL: time.Second, DeadLetterTo: dead})
	batch := messages("", q, 3)
	for i := range batch {
		batch[i].Kind, batch[i].CorrelationID, batch[i].AppID = parley.KindEvent, "c-1", "shop"
		batch[i].SetHeader("h", "ü")
		batch[i].Timestamp = time.Now().Truncate(time.Second)
	}
	s := b.subscribe(dead, 10)
	b.publish(batch...)
	b.none(s, "before the messages expire")
	for i := range batch {
		d := b.next(s)
		want := batch[i]
		want.RoutingKey, want.ContentType = dead, parley.ContentType
		sameProperties(b.T, &d.Message, &want)
		if string(d.Body) != string(want.Body) || d.Header("h") != "ü" || !d.Timestamp.Equal(want.Timestamp) || d.Redelivered {
			b.Errorf("message %d expired and arrived as %+v", i, d.Message)
		}
		b.settle(d, parley.SettleAck)
	}
	b.wantIDs(q, "all have expired")
}

func expiredWhileInHandStay(b *brokerTest) {
	dead := b.queue(parley.Queue{})
	q := b.queue(parley.Queue{TTL: 50 * time.Millisecond, DeadLetterTo: dead})
	s := b.subscribe(q, 10)
	b.publish(messages("", q, 2)...)
	acked, returned := b.next(s), b.next(s)
	watch := b.subscribe(dead, 1)
	b.none(watch, "an unacked message does not expire")
	b.close(watch)
	b.settle(acked, parley.SettleAck)
	b.close(s)
	eventually(b.T, "the requeued message has expired", func() bool {
		got := b.collect(dead)
		return len(got) == 1 && got[0].ID == returned.ID
	})
}
