//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// A stranger consumes a parley queue as the Python library does: it routes by the exchange of a message, and drops
// messages that return through the default exchange.
type stranger struct {
	taken, dropped atomic.Int64
	stop           func()
}

func (l *lab) stranger(queue string) *stranger {
	l.t.Helper()
	s := &stranger{}
	conn, err := amqp.Dial(l.broker)
	if err != nil {
		l.t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Qos(4, 0, false)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	deliveries, err := ch.ConsumeWithContext(context.Background(), queue, "", false, false, false, false, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for d := range deliveries { // ends with the channel
			l.strange(s, d)
		}
	})
	var once sync.Once
	s.stop = func() { once.Do(func() { _ = conn.CloseDeadline(time.Now().Add(5 * time.Second)); wg.Wait() }) }
	l.t.Cleanup(s.stop)
	return s
}

// strange handles one delivery.
func (l *lab) strange(s *stranger, d amqp.Delivery) {
	if d.Exchange == "" {
		s.dropped.Add(1)
		_ = d.Ack(false)
		return
	}
	a, err := readArrival(d)
	if err == nil {
		_, err = l.db.Exec(fmt.Sprintf("INSERT INTO effects (number, process) VALUES (%d, 1)", a.number))
	}
	if err != nil {
		l.t.Errorf("the other consumer: %v", err)
	}
	s.taken.Add(1)
	_ = d.Ack(false)
}

// Both consumers use one queue while parley's handlers fail. Then the other consumer is alone, as after a migration was
// undone. Then both run again.
func TestAConsumerOfAnotherKindOnTheQueueDropsNothingOfAConsumerWithAFailureStore(t *testing.T) {
	l := newLab(t, 1)
	relay := l.relay(l.database, l.broker, nil)
	k := l.keeping(nil)
	k.Retry.Delays = []time.Duration{time.Second, time.Second, 5 * time.Second, 10 * time.Second}
	k.KillSwitch.Share = 2
	k.handle = func(context.Context, parley.Event[fact]) error { return errPlanned }
	l.start(k)
	s := l.stranger(l.work())
	w := writer{l: l, group: 5}
	const events = 40
	w.commit(events)
	l.drained()
	eventually(t, "one of the two consumers got each event", func() bool { return s.taken.Load()+int64(l.failed()) == events })
	kept := l.failed()
	k.stop()
	pass(1500 * time.Millisecond) // the retries are due
	if n := l.failed(); n != kept {
		t.Errorf("%d of %d failed deliveries remain", n, kept)
	}
	k.handle = func(context.Context, parley.Event[fact]) error { return nil }
	l.start(k)
	l.withoutFailures(t)
	k.stop()
	s.stop()
	relay.stop()
	if n := s.dropped.Load(); n != 0 {
		t.Errorf("the other consumer dropped %d messages", n)
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("a consumer that is not parley's on the queue, with a failure store", kept))
}

// Without a failure store the consumer detects the other one, and then keeps its retries in the process.
func TestAConsumerOfAnotherKindOnTheQueueDropsNothingOnceItIsNoticed(t *testing.T) {
	l := newLab(t, 1)
	relay := l.relay(l.database, l.broker, nil)
	k := l.keeping(nil)
	k.Failures = nil
	k.KillSwitch.Share = 2
	k.Retry.Delays = []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second}
	k.handle = func(_ context.Context, e parley.Event[fact]) error {
		if e.Delivery.Attempt == 1 {
			return errPlanned
		}
		return nil
	}
	if err := l.direct().Declare(t.Context(), k.Topology); err != nil {
		t.Fatal(err)
	}
	s := l.stranger(l.work())
	l.start(k)
	eventually(t, "the consumer detects the other one", func() bool { return k.log.says("other consumers take from this queue") })
	w := writer{l: l, group: 5}
	const events = 40
	w.commit(events)
	l.drained()
	l.handled()
	k.stop()
	s.stop()
	relay.stop()
	if n := s.dropped.Load(); n != 0 {
		t.Errorf("the other consumer dropped %d messages", n)
	}
	own := int(k.outcomes[handled].Load())
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("a consumer that is not parley's on the queue, without a failure store", own))
}
