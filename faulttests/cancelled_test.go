//go:build unix

package faulttests_test

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// A deleted queue loses its messages. Its consumer must declare it again and handle later messages.
func TestAConsumerWhoseQueueIsDeletedUnderLoadMakesItAgainAndGoesOn(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	stop := l.consume()
	relay := l.relay(l.database, l.broker, nil)
	stopLoad := l.load(300)
	watch := stopwatch{t: t}
	const times = 3
	for range times {
		had, err := l.effected()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "events have effects under load", func() bool { n, err := l.effected(); return err == nil && n > had+50 })
		since := time.Now()
		if err := l.onBroker(func(ch *amqp.Channel) error { _, err := ch.QueueDelete(l.work(), false, false, false); return err }); err != nil {
			t.Fatal(err)
		}
		was, err := l.moved()
		if err != nil {
			t.Fatal(err)
		}
		// An event that is published after the deletion can only have its effect through the new queue.
		watch.until("events after the deletion have their effect", l.effectedAfter(was+50), since, 0)
	}
	if watch.longest > 5*time.Second {
		t.Errorf("the consumer recovered %v after its queue was deleted, want at most 5 s", watch.longest)
	}
	stopLoad()
	l.drained()
	eventually(t, "the queue is empty", func() bool { n, err := l.ready(l.work()); return err == nil && n == 0 })
	stop()
	relay.stop()
	e := l.evidence()
	f := e.inEffect()
	t.Logf("%d events were deleted with their queue", len(f.lost))
	if len(f.lost) >= f.events/2 {
		t.Errorf("%d of %d events had no effect, more than were in the deleted queue", len(f.lost), f.events)
	}
	f.lost = nil // they were deleted
	f.check(t, 0)
	e.arrivals = l.arrivals() // of the lab's own queue, which is not deleted
	e.inQueue().check(t, 0)
	r := e.inQueue().row("a consumer's queue that is deleted under load", times)
	r.recovery = watch.longest
	counts.add(t, r)
}

// effectedAfter counts the effects of the events after the first ones of the ledger.
func (l *lab) effectedAfter(first int) func() (int, error) {
	return func() (int, error) {
		return l.tryCount(fmt.Sprintf("(SELECT number FROM effects WHERE number > (SELECT number FROM ledger ORDER BY event_id OFFSET %d LIMIT 1)) AS e", first))
	}
}

// An ack with an unknown tag makes the broker close the channel (406) and requeue all its unacked messages.
func TestAChannelThatTheBrokerEndsUnderLoadCostsNothingAndRepeatsNoEffect(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	proxy, broker := through(t, l.broker)
	stop := l.consumeThrough(broker)
	relay := l.relay(l.database, l.broker, nil)
	stopLoad := l.load(300)
	watch := stopwatch{t: t}
	const times = 5
	for n := range times {
		was, err := l.effected()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "events have effects under load", func() bool { n, err := l.effected(); return err == nil && n > was+30 })
		proxy.ForgeAck()
		eventually(t, "the broker received a forged ack", func() bool { return proxy.Count(faultproxy.Forged) > n })
		was, err = l.effected()
		if err != nil {
			t.Fatal(err)
		}
		watch.until("the consumer handles events again", l.effected, time.Now(), was+50)
	}
	stopLoad()
	l.drained()
	l.handled()
	stop()
	relay.stop()
	if n := proxy.Received(faultproxy.ChannelClose); n < times {
		t.Errorf("the broker closed %d channels, want %d", n, times)
	}
	if watch.longest > 5*time.Second {
		t.Errorf("the consumer recovered %v after its channel was closed, want at most 5 s", watch.longest)
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	r := f.row("a channel that the broker ends under load", times)
	r.recovery = watch.longest
	counts.add(t, r)
}
