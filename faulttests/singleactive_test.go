package faulttests_test

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// declareSingleActive makes the queue for work a quorum queue of which one consumer at a time gets the messages.
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

// The broker makes the next consumer the active one as soon as the last one's subscription ends. Were that ended first
// at a stop, the next would handle what comes later beside what is still in hand, and what goes back would come late.
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
	s.Fault = "consumer.handled:*:sleep=2ms" // what is handled is not acknowledged at once
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
		eventually(t, "the active one goes on", func() bool { n, err := l.effected(); return err == nil && n > was+20 })
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
		t.Errorf("%d processes were active, want more than there were at once: the test has shown nothing", active)
	}
	counts.add(t, f.row("SIGTERM of the consumers of a single active queue in turn", active-1))
}

// effectsInOrder reads the effects as arrivals, in the order in which the handlers left them.
func (l *lab) effectsInOrder() (out []arrival) {
	l.t.Helper()
	var a arrival
	l.each(l.t.Context(), "SELECT number, exchange, event_id FROM effects JOIN ledger USING (number) ORDER BY effects.at",
		func() { out = append(out, a) }, &a.number, &a.exchange, &a.event)
	return out
}
