//go:build unix

package faulttests_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// A keeping is a consumer in this process, with a failure store or without, on a queue that it declares by itself.
type keeping struct {
	parley.ConsumerConfig
	broker string
	// handle is called before each effect.
	handle func(ctx context.Context, e parley.Event[fact]) error

	consumer *parley.Consumer
	log      logText
	outcomes [3]atomic.Int64
	stop     func()
}

// The outcomes that a keeping counts.
const (
	handled = iota
	retried
	parked
)

// A logText collects what is logged.
type logText struct {
	mu   sync.Mutex // guards the field below
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) says(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), what)
}

// keeping returns one that is not started, with a failure store. Its queue has some arguments.
func (l *lab) keeping(arguments map[string]any) *keeping {
	l.t.Helper()
	l.t.Cleanup(l.removeWork)
	k := &keeping{broker: l.broker, handle: func(context.Context, parley.Event[fact]) error { return nil }}
	k.Queue, k.Concurrency, k.Topology, k.Failures = l.work(), 8, l.workTopology(), l.store.Failures()
	k.Topology.Queues[0].Arguments = arguments
	k.Retry = parley.RetryPolicy{Immediate: []time.Duration{}, Delays: workDelays}
	k.Logger = slog.New(slog.NewTextHandler(&k.log, nil))
	k.Hooks.Done = func(r parley.ConsumerReport) {
		switch r.Outcome {
		case parley.OutcomeHandled, parley.OutcomeDuplicate:
			k.outcomes[handled].Add(1)
		case parley.OutcomeRetried:
			k.outcomes[retried].Add(1)
		case parley.OutcomeParked:
			k.outcomes[parked].Add(1)
		}
	}
	return k
}

func (l *lab) start(k *keeping, options ...parley.RouteOption) {
	l.t.Helper()
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: k.Queue, Logger: quiet})
	if err != nil {
		l.t.Fatal(err)
	}
	r := parley.NewRouter()
	for _, event := range l.events {
		parley.OnTx(r, inbox, event, func(ctx context.Context, tx pgx.Tx, e parley.Event[fact]) error {
			if err := k.handle(ctx, e); err != nil {
				return err
			}
			return leaveEffect(ctx, tx, e)
		}, options...)
	}
	k.consumer, err = parley.NewConsumer(l.directWith(func(c *rabbitmq.Config) { c.URL = k.broker }), r, &k.ConsumerConfig)
	if err != nil {
		l.t.Fatal(err)
	}
	k.stop = start(l.t, "consumer", k.consumer)
	eventually(l.t, "the consumer is subscribed", k.consumer.Subscribed)
}

// The consumer's database stops while deliveries fail, so failures cannot be stored.
func TestThirtySecondsWithoutTheDatabaseOfFailedDeliveriesLoseNothingAndHealthSaysSo(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 1)
	k := l.keeping(nil)
	if err := l.direct().Declare(t.Context(), k.Topology); err != nil {
		t.Fatal(err)
	}
	l.publish(3000)
	k.handle = func(_ context.Context, e parley.Event[fact]) error {
		if e.Payload.Number%5 == 0 && e.Delivery.Attempt == 1 {
			return errPlanned
		}
		return nil
	}
	l.start(k)
	eventually(t, "the consumer handles the backlog", func() bool { n, err := l.effected(); return err == nil && n > 500 })
	s.signal(9)
	eventually(t, "the consumer reports that it is unhealthy", func() bool { return k.consumer.Health() != nil })
	t.Logf("without its database Health returns: %v", k.consumer.Health())
	pass(30 * time.Second)
	if k.consumer.Health() == nil {
		t.Error("after 30 s without its database the consumer reports that it is healthy")
	}
	s.start()
	watch := stopwatch{t: t}
	had, err := l.effected()
	if err != nil {
		t.Fatal(err)
	}
	watch.until("the consumer handles events again", l.effected, s.opened, had)
	l.withoutFailures(t)
	eventually(t, "the consumer is healthy again", func() bool { return k.consumer.Health() == nil })
	k.stop()
	if n := k.outcomes[parked].Load(); n != 0 {
		t.Errorf("an outage parked %d messages", n)
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	r := f.row("the database of failed deliveries is down for 30 s", int(k.outcomes[retried].Load()))
	r.recovery = watch.longest
	counts.add(t, r)
}

// A quorum queue counts a delivery for each unacked message of a closed connection. Messages that no handler has seen are not poison.
func TestMessagesInHandOfAConnectionThatIsCutTwentyFiveTimesAreNotParked(t *testing.T) {
	needAll(t)
	for name, withStore := range map[string]bool{"with a failure store": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			k := l.keeping(map[string]any{"x-queue-type": "quorum"})
			proxy, broker := through(t, l.broker)
			k.broker, k.Prefetch = broker, 50
			if !withStore {
				k.Failures = nil
			}
			k.handle = func(context.Context, parley.Event[fact]) error { pass(100 * time.Millisecond); return nil }
			l.start(k, parley.Ordered(func(*parley.Delivery) string { return "one key" }))
			w := writer{l: l, group: 5}
			relay := l.relay(l.database, l.broker, nil)
			const events, cuts = 80, 25
			w.commit(events)
			l.drained()
			for range cuts {
				had := k.outcomes[handled].Load() + k.outcomes[retried].Load()
				eventually(t, "the consumer handles events", func() bool {
					n, err := l.effected()
					return err == nil && (n == events || k.outcomes[handled].Load()+k.outcomes[retried].Load() > had)
				})
				eventually(t, "a connection is cut", func() bool { return proxy.Cut() > 0 })
			}
			l.handled()
			eventually(t, "the queue is empty", func() bool { n, err := l.ready(l.work()); return err == nil && n == 0 })
			k.stop()
			relay.stop()
			if n := k.outcomes[parked].Load(); n != 0 {
				t.Errorf("%d of %d messages are parked, want none", n, events)
			}
			f := l.evidence().inEffect()
			f.check(t, 0)
			counts.add(t, f.row(fmt.Sprint("cuts of the connection to a quorum queue, ", name), cuts))
		})
	}
}
