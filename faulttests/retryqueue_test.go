//go:build unix

package faulttests_test

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// tried makes the broker retry a rejected dead-lettered message after 5 s. The default is 3 minutes.
const tried = "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}]."

// Faults of the main queue while messages wait for their retry must lose no message: neither if they wait in the database,
// nor if they wait in RabbitMQ's retry queues, which dead-letter a message until it is accepted.
func TestMessagesThatWaitForTheirRetryOutliveAFullADeletedAndAStoppedQueue(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQWith(t, tried)
	for name, withStore := range map[string]bool{"with a failure store": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			l := newLabOn(t, testenv.Postgres(t), s.url, 1)
			for _, fault := range []struct {
				name string
				do   func()
			}{
				{"full", l.fill},
				{"deleted", l.deleteWork},
				{"on a node that is stopped", func() { s.control("stop_app"); pass(5 * time.Second); s.control("start_app") }},
			} {
				l.retryThrough("retries whose queue is "+fault.name+", "+name, withStore, fault.do)
			}
		})
	}
}

// retryThrough makes messages fail, causes a fault while they wait for their retry, and then handles them.
func (l *lab) retryThrough(name string, withStore bool, fault func()) {
	l.t.Helper()
	const events, delay = 20, 3 * time.Second
	k := l.keeping(map[string]any{"x-max-length": int64(1), "x-overflow": "reject-publish"})
	if !withStore {
		k.Failures = nil
	}
	k.Retry.Delays = []time.Duration{delay, 40 * time.Second}
	k.KillSwitch.Share = 2
	k.handle = func(context.Context, parley.Event[fact]) error { return errPlanned }
	l.start(k)
	relay := l.relay(l.database, l.broker, nil)
	w := writer{l: l, group: 1}
	w.commit(events)
	eventually(l.t, "all have failed", func() bool { return k.outcomes[retried].Load() >= events })
	k.stop()
	fault()
	pass(delay)
	k.handle = func(context.Context, parley.Event[fact]) error { return nil }
	begin := time.Now()
	l.start(k)
	l.handled()
	took := time.Since(begin)
	l.drained()
	k.stop()
	relay.stop()
	f := l.evidence().inEffect()
	f.check(l.t, 0)
	r := f.row(name, events)
	r.recovery = took
	counts.add(l.t, r)
	if withStore && testenv.Late(l.t, took, recoveryLimit) {
		l.t.Errorf("%s: handled after %v, want at once", name, took)
	}
}

// fill fills the queue, which has room for one message.
func (l *lab) fill() {
	l.t.Helper()
	w := writer{l: l, group: 1}
	w.commit(1)
	eventually(l.t, "the queue is full", func() bool { n, err := l.ready(l.work()); return err == nil && n == 1 })
	pass(5 * time.Second)
}

// deleteWork deletes the queue for longer than the retry delay.
func (l *lab) deleteWork() {
	l.t.Helper()
	if err := l.onBroker(func(ch *amqp.Channel) error { _, err := ch.QueueDelete(l.work(), false, false, false); return err }); err != nil {
		l.t.Fatal(err)
	}
	pass(5 * time.Second)
}
