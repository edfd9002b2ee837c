package faulttests_test

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley/internal/faultproxy"
)

// A queue that is deleted takes its messages with it. Its consumer has to make it again; what comes then is handled.
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
		eventually(t, "the load flows", func() bool { n, err := l.effected(); return err == nil && n > had+50 })
		since := time.Now()
		if err := l.onBroker(func(ch *amqp.Channel) error { _, err := ch.QueueDelete(l.work(), false, false, false); return err }); err != nil {
			t.Fatal(err)
		}
		was, err := l.moved()
		if err != nil {
			t.Fatal(err)
		}
		// An event that is published after the deletion can only have its effect through the new queue.
		watch.until("events of after the deletion have their effect", l.effectedAfter(was+50), since, 0)
	}
	if watch.longest > 5*time.Second {
		t.Errorf("the consumer went on %v after its queue was deleted, want 5 s at most", watch.longest)
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
		t.Errorf("%d of %d events had no effect: more than were in the queue when it was deleted", len(f.lost), f.events)
	}
	f.lost = nil // they were deleted
	f.check(t, 0)
	e.arrivals = l.arrivals() // of the lab's own queue, which nobody deletes
	e.inQueue().check(t, 0)
	r := e.inQueue().row("a consumer's queue that is deleted under load", times)
	r.recovery = watch.longest
	counts.add(t, r)
}

// effectedAfter counts the effects of events after the first so many of the ledger.
func (l *lab) effectedAfter(first int) func() (int, error) {
	return func() (int, error) {
		return l.tryCount(fmt.Sprintf("(SELECT number FROM effects WHERE number > (SELECT number FROM ledger ORDER BY event_id OFFSET %d LIMIT 1)) AS e", first))
	}
}

// An acknowledgement that the broker does not know ends the channel (406), and with it everything that was in hand.
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
		eventually(t, "the load flows", func() bool { n, err := l.effected(); return err == nil && n > was+30 })
		proxy.ForgeAck()
		eventually(t, "the broker has got a false acknowledgement", func() bool { return proxy.Count(faultproxy.Forged) > n })
		was, err = l.effected()
		if err != nil {
			t.Fatal(err)
		}
		watch.until("the consumer goes on", l.effected, time.Now(), was+50)
	}
	stopLoad()
	l.drained()
	l.handled()
	stop()
	relay.stop()
	if n := proxy.Received(faultproxy.ChannelClose); n < times {
		t.Errorf("the broker has ended %d channels, want %d", n, times)
	}
	if watch.longest > 5*time.Second {
		t.Errorf("the consumer went on %v after its channel had ended, want 5 s at most", watch.longest)
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	r := f.row("a channel that the broker ends under load", times)
	r.recovery = watch.longest
	counts.add(t, r)
}
