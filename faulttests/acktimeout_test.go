//go:build unix

package faulttests_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// impatient makes the broker close the channel of a consumer that keeps a delivery unacked for longer than limit. The broker checks twice a
// second instead of once a minute.
func (s *server) impatient(limit time.Duration) {
	s.t.Helper()
	s.control("eval", "application:set_env(rabbit, consumer_timeout, "+millis(limit)+"), application:set_env(rabbit, channel_tick_interval, 500).")
}

// A slowCoach is a consumer whose handler is slow.
type slowCoach struct {
	closed   atomic.Int64 // channels that the broker closed
	stale    atomic.Int64
	timeouts atomic.Int64 // deliveries that wait in a retry queue because their handler timed out
	stop     func()
}

// consumeSlowly runs a consumer. Its handler calls slow before its work.
func (l *lab) consumeSlowly(timeout time.Duration, slow func(context.Context) error) *slowCoach {
	l.t.Helper()
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.queue})
	if err != nil {
		l.t.Fatal(err)
	}
	s := &slowCoach{}
	r := parley.NewRouter()
	parley.OnTx(r, inbox, l.events[0], func(ctx context.Context, tx pgx.Tx, e parley.Event[fact]) error {
		if err := slow(ctx); err != nil {
			return err
		}
		return leaveEffect(ctx, tx, e)
	})
	c, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.queue, Concurrency: 2, HandlerTimeout: timeout, Logger: quiet,
		Retry: parley.RetryPolicy{Immediate: []time.Duration{time.Millisecond, 10 * time.Millisecond}, Delays: slices.Repeat([]time.Duration{time.Second}, 10)},
		Hooks: parley.ConsumerHooks{
			Stale: func(*parley.Delivery) { s.stale.Add(1) },
			Subscribed: func(up bool, cause error) {
				if !up && cause != nil && strings.Contains(cause.Error(), "delivery acknowledgement") {
					s.closed.Add(1)
				}
			},
			Done: func(r parley.ConsumerReport) {
				if r.Outcome == parley.OutcomeRetried && strings.Contains(r.Err.Error(), "did not return in time") {
					s.timeouts.Add(1)
				}
			},
		},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	s.stop = start(l.t, "the slow consumer", c)
	return s
}

// If a delivery is unacked for longer than consumer_timeout (30 minutes), the broker closes the channel and redelivers
// all its unacked messages. The handler timeout (5 minutes) must end first, also for deliveries that wait for a worker. Here it is a sixth of
// the broker's timeout too.
func TestHandlersThatHangTimeOutBeforeTheBrokersConsumerTimeout(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	s.impatient(6 * time.Second)
	l := newLabOn(t, testenv.Postgres(t), s.url, 1)
	l.publish(40)
	hangs, cancel := context.WithTimeout(t.Context(), 9*time.Second) // how long the handlers hang
	defer cancel()
	c := l.consumeSlowly(time.Second, func(ctx context.Context) error {
		if hangs.Err() == nil {
			<-ctx.Done()
		}
		return ctx.Err()
	})
	l.handled()
	c.stop()
	t.Logf("%d handlers timed out", c.timeouts.Load())
	if c.closed.Load() != 0 || c.stale.Load() != 0 {
		t.Errorf("the broker closed %d channels, and %d acks were stale, want none", c.closed.Load(), c.stale.Load())
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("handlers that hang, for a broker with an ack timeout", int(c.timeouts.Load())))
}

// Without a handler timeout the broker's timeout closes the channel. The handler finishes its work, but its ack is stale.
func TestAHandlerThatOutlastsTheConsumerTimeoutHasItsEffectOnce(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	s.impatient(3 * time.Second)
	l := newLabOn(t, testenv.Postgres(t), s.url, 1)
	l.publish(10)
	first := make(chan struct{}, 1)
	first <- struct{}{}
	c := l.consumeSlowly(time.Hour, func(context.Context) error {
		select {
		case <-first:
			pass(6 * time.Second) // ignores its context
		default:
		}
		return nil
	})
	l.handled()
	eventually(t, "the queue is empty", func() bool { return l.holds(0) })
	c.stop()
	t.Logf("the broker closed %d channels, %d acks were stale", c.closed.Load(), c.stale.Load())
	if c.stale.Load() == 0 {
		t.Error("no ack was stale")
	}
	f := l.evidence().inEffect()
	f.check(t, 0)
	counts.add(t, f.row("the broker's ack timeout", int(c.closed.Load())))
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
