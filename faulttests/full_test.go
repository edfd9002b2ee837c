//go:build unix

package faulttests_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// RabbitMQ rejects a message if one of its queues is full, but still puts it into the others, so each attempt makes a copy.
func TestAFullQueueHoldsUpItsExchangeOnlyAndIsTriedSeldom(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 2)
	full, room := l.queue+".full", 5
	err := l.onBroker(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(full, true, false, false, false, amqp.Table{"x-max-length": room, "x-overflow": "reject-publish"})
		if err == nil {
			err = ch.QueueBind(full, "#", l.exchanges[0], false, nil)
		}
		return err
	})
	t.Cleanup(func() {
		_ = l.onBroker(func(ch *amqp.Channel) error { _, err := ch.QueueDelete(full, false, false, false); return err })
	})
	if err != nil {
		t.Fatal(err)
	}
	var steps atomic.Int64
	relay := l.relay(l.database, l.broker, func(c *parley.RelayConfig, _ *rabbitmq.Config) {
		batch := c.Hooks.Batch
		c.Hooks.Batch = func(b parley.BatchReport) {
			if b.Rejected > 0 {
				steps.Add(1)
			}
			batch(b)
		}
	})
	begin := time.Now()
	stopLoad := l.load(200)
	for n := range int64(3) {
		eventually(t, "the full queue rejects another message", func() bool { return steps.Load() > n })
		before := l.passed(l.exchanges[1])
		within(t, recoveryLimit, "events of the other exchange arrive", func() bool { return l.passed(l.exchanges[1]) > before+20 })
	}
	stopLoad()
	waited := time.Since(begin)
	if n := l.passed(l.exchanges[0]); n > room {
		t.Errorf("%d events of the full queue's exchange were deleted from the outbox, but the queue has room for %d", n, room)
	}
	rejected := steps.Load()
	// Pauses are random up to 1, 2, 4 s and so on, but never near 0.
	if most := int64(5 + waited/time.Second); rejected > most {
		t.Errorf("the relay published to a full queue %d times in %v, want at most %d", rejected, waited, most)
	}
	took := l.emptied(full)
	relay.stop()
	e := l.evidence()
	e.arrivals = l.arrivals()
	copies := map[int64]int64{}
	for _, a := range e.arrivals {
		copies[a.number]++
	}
	for number, n := range copies {
		if n > 1+steps.Load() {
			t.Errorf("%d copies of event %d are in the healthy queue, want at most one and one for each of %d rejections", n, number, steps.Load())
			break
		}
	}
	f := e.inQueue()
	f.check(t, len(e.arrivals))
	r := f.row("a full queue beside a healthy one", int(rejected))
	r.recovery = took
	counts.add(t, r)
}

// emptied consumes a queue until the outbox is empty, and returns how long that took.
func (l *lab) emptied(queue string) (took time.Duration) {
	l.t.Helper()
	err := l.onBroker(func(ch *amqp.Channel) error {
		deliveries, err := ch.ConsumeWithContext(context.Background(), queue, "", true, false, false, false, nil)
		if err != nil {
			return err
		}
		go func() {
			for range deliveries { // ends with the channel
			}
		}()
		took = l.drained()
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return took
}
