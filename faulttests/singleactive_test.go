//go:build unix

package faulttests_test

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// declareSingleActive declares the work queue as a quorum queue with a single active consumer.
func (l *lab) declareSingleActive() {
	l.t.Helper()
	l.t.Cleanup(l.removeWork)
	err := l.onBroker(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(l.work(), true, false, false, false, amqp.Table{"x-queue-type": "quorum", "x-single-active-consumer": true})
		for _, name := range l.exchanges {
			if err == nil {
				err = ch.QueueBind(l.work(), "#", name, false, nil)
			}
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// The broker activates the next consumer as soon as the subscription of the active one ends. If a shutdown ended the subscription first,
// the next consumer would handle later messages beside running handlers, and requeued messages would be late.
func TestConsumersOfASingleActiveQueueThatAreStoppedInTurnKeepTheOrderAndDoubleNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 4)
	l.declareSingleActive()
	relay := l.relay(l.database, l.broker, nil)
	stopLoad := l.load(600)
	s := l.child("consumer")
	s.Queue, s.WithoutInbox = l.work(), true
	s.Settings = []string{"VICTIM_ORDERED=1", "PARLEY_TOPOLOGY=none"}
	s.Fault = "consumer.handled:*:sleep=2ms" // handled messages are not acked at once
	var running []*process
	for range 3 {
		running = append(running, spawn(t, s))
	}
	for range 4 * len(running) {
		running[0].works()
		was, err := l.effected()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the active consumer handles events", func() bool { n, err := l.effected(); return err == nil && n > was+20 })
		running[0].stop()
		running = append(running[1:], spawn(t, s))
	}
	stopLoad()
	l.drained()
	relay.stop()
	l.handled()
	for _, p := range running {
		p.works()
		p.stop()
	}
	e := l.evidence()
	effects := e.inEffect()
	effects.check(t, 0)
	e.arrivals = l.effectsInOrder()
	f := e.inQueue()
	f.check(t, 0)
	f.doubled = effects.doubled
	active := l.count("(SELECT DISTINCT process FROM effects) AS p")
	if active < 4 {
		t.Errorf("%d processes were active, want more than ran at the same time, so the test proves nothing", active)
	}
	counts.add(t, f.row("SIGTERM of the consumers of a single active queue in turn", active-1))
}

// effectsInOrder returns the effects as arrivals, in the order in which the handlers wrote them.
func (l *lab) effectsInOrder() (out []arrival) {
	l.t.Helper()
	var a arrival
	l.each(l.t.Context(), "SELECT number, exchange, event_id FROM effects JOIN ledger USING (number) ORDER BY effects.at",
		func() { out = append(out, a) }, &a.number, &a.exchange, &a.event)
	return out
}
