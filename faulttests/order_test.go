//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// keys is the number of keys, which the events have in turn.
const keys = 50

func keyOf(number int64) string { return "key " + strconv.FormatInt(number%keys, 10) }

// An orderly handler records the handled events. It fails one attempt in 20, and all attempts of the chosen events
// until they are released.
type orderly struct {
	held map[int64]bool

	mu       sync.Mutex // guards the fields below
	random   *rand.Rand
	handled  []arrival // the key in place of the exchange
	failed   int
	released bool
}

func (o *orderly) handle(_ context.Context, e parley.Event[fact]) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	number := e.Payload.Number
	if o.held[number] && !o.released || o.random.IntN(20) == 0 {
		o.failed++
		return errPlanned
	}
	o.handled = append(o.handled, arrival{number: number, exchange: keyOf(number), event: e.ID, id: e.Delivery.ID})
	return nil
}

func (o *orderly) count(of func(number int64) bool) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.handled {
		if of(a.number) {
			n++
		}
	}
	return n
}

// Two keys wait behind a failing event until all other events are handled: no other key waits for them. The other
// events fail sometimes, and are retried in the process.
func TestAKeysEventsKeepTheirOrderThroughRetriesAndHoldUpNoOtherKey(t *testing.T) {
	l := newLab(t, 1)
	o := &orderly{random: chance(t), held: map[int64]bool{keys + 7: true, keys + 8: true}}
	waits := func(number int64) bool { return number%keys == 7 || number%keys == 8 }
	relay := l.relay(l.database, l.broker, nil)
	l.produce(2000)
	l.drained()
	relay.stop()
	r := parley.NewRouter()
	parley.On(r, l.events[0], o.handle, parley.Ordered(func(d *parley.Delivery) string {
		a, _ := readArrival(amqp.Delivery{Body: d.Body})
		return keyOf(a.number)
	}))
	plan := make([]time.Duration, 10)
	for i := range plan {
		plan[i] = 20 * time.Millisecond
	}
	c, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.queue, Concurrency: 16, Prefetch: 300, Logger: quiet,
		Retry: parley.RetryPolicy{Immediate: plan, Delays: []time.Duration{time.Second, time.Second, time.Second, time.Second}},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, "consumer", c)
	total := l.count("ledger")
	held := l.count(fmt.Sprintf("ledger WHERE number %% %d IN (7, 8)", keys))
	eventually(t, "the events of all other keys are handled", func() bool { return o.count(func(n int64) bool { return !waits(n) }) == total-held })
	if early := o.count(waits); early > 2 { // the events before the failing ones
		t.Errorf("%d events of the waiting keys were handled, want only the 2 before the failing ones", early)
	}
	o.mu.Lock()
	o.released = true
	o.mu.Unlock()
	eventually(t, "all events are handled", func() bool { return o.count(func(int64) bool { return true }) == total })
	stop()
	e := l.evidence()
	e.arrivals = o.handled
	f := e.inQueue()
	f.check(t, 0)
	counts.add(t, f.row("failing handlers of ordered routes, 50 keys", o.failed))
}
