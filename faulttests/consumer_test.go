//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// effected counts the events that have had an effect.
func (l *lab) effected() (n int, err error) {
	return l.tryCount("(SELECT DISTINCT number FROM effects) AS e")
}

// handled waits until every event of the ledger has had its effect, as long as the number of those that have not goes down.
func (l *lab) handled() {
	l.t.Helper()
	least := math.MaxInt
	for least > 0 {
		eventually(l.t, fmt.Sprintf("fewer than %d events without effect", least), func() bool {
			n, err := l.tryCount("ledger WHERE number NOT IN (SELECT number FROM effects)")
			if err != nil || n >= least {
				return false
			}
			least = n
			return true
		})
	}
}

func TestConsumersKilledUnderLoadLoseNothingAndRepeatNoEffect(t *testing.T) {
	l := newLab(t, 2)
	relay := l.relay(l.database, l.broker, nil)
	stopLoad := l.load(800)
	watch := stopwatch{t: t}
	kills := 0
	places := []point{beforeHandler, afterEffect, afterEffectCommit, beforeAck, afterRetryQueue, afterPark}
	s := l.child("consumer")
	s.Fail, s.Park = 20, 50
	for n := range 18 {
		s.Point, s.Pass = places[n%len(places)], 1+n/len(places)*7
		if s.Point == afterRetryQueue || s.Point == afterPark {
			s.Pass = 1 + n/len(places)
		}
		spawn(t, s).diedAt(s.Point)
		kills++
	}
	// Then at any moment, while a second consumer shares the queue.
	s.Point = ""
	random := chance(t)
	second := spawn(t, s)
	for range 15 {
		first := spawn(t, s)
		first.works()
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond) // the moment of the fault
		first.kill()
		kills++
	}
	second.works()
	second.kill()
	kills++
	was, err := l.effected()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	last := spawn(t, s)
	watch.until("the next consumer handles events", l.effected, begin, was)
	stopLoad()
	l.drained()
	relay.stop()
	parked := l.settleParked(last)
	last.stop()
	f := l.evidence().inEffect()
	f.check(t, 0)
	if parked == 0 {
		t.Error("no event was parked and replayed")
	}
	r := f.row("kill -9 of the consumer under load, with OnTx", kills)
	r.recovery = watch.longest
	counts.add(t, r)
}

// settleParked replays the events that planned failures parked, until every event has had its effect.
func (l *lab) settleParked(p *process) (replayed int) {
	l.t.Helper()
	b := l.direct()
	progressing(l.t, "every event has had its effect", func() (int, error) {
		n, err := parley.ReplayParked(l.t.Context(), b, l.queue, nil)
		if err != nil {
			l.t.Fatal(err)
		}
		replayed += n
		return l.tryCount("ledger WHERE number NOT IN (SELECT number FROM effects)")
	})
	return replayed
}

// direct returns a broker connection without proxies.
func (l *lab) direct() *rabbitmq.Broker {
	l.t.Helper()
	return l.directWith(func(*rabbitmq.Config) {})
}

func (l *lab) directWith(change func(*rabbitmq.Config)) *rabbitmq.Broker {
	l.t.Helper()
	cfg := rabbitmq.Config{URL: l.broker, Logger: quiet}
	if strings.Contains(l.broker, ",") {
		cfg.URL, cfg.URLs = "", strings.Split(l.broker, ",")
	}
	change(&cfg)
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = b.Close(ctx) // a private server may have stopped
	})
	return b
}

func TestFiveParallelCopiesOfEachMessageHaveOneEffect(t *testing.T) {
	l := newLab(t, 1)
	outcomes, f := l.duplicates(l.store)
	f.check(t, 0)
	if n := outcomes.duplicate.Load(); n != int64(4*f.events) {
		t.Errorf("%d copies were treated as duplicates, want %d", n, 4*f.events)
	}
	counts.add(t, f.row("5 copies of each message with concurrency 8, with OnTx", int(outcomes.duplicate.Load())))
}

type outcomeCounts struct{ handled, duplicate, retried atomic.Int64 }

// duplicates publishes each of 400 events five times, mixed, and handles them concurrently with the given inbox.
func (l *lab) duplicates(store parley.InboxStore[pgx.Tx]) (*outcomeCounts, findings) {
	l.t.Helper()
	l.publish(400)
	l.multiply(5, nil)
	out := l.settleAll(store, 5*l.count("ledger"), leaveEffect)
	return out, l.evidence().inEffect()
}

// publish commits about n events and waits until they are in the queue.
func (l *lab) publish(n int) {
	l.t.Helper()
	relay := l.relay(l.database, l.broker, nil)
	l.produce(n)
	l.drained()
	relay.stop()
}

// leaveEffect is the handler: it writes the effect of an event.
func leaveEffect(ctx context.Context, tx pgx.Tx, e parley.Event[fact]) error {
	_, err := tx.Exec(ctx, "INSERT INTO effects (number, process) VALUES ($1, 0)", e.Payload.Number)
	return err
}

// settleAll runs a consumer with an inbox until n messages are acked.
func (l *lab) settleAll(store parley.InboxStore[pgx.Tx], messages int, handle func(context.Context, pgx.Tx, parley.Event[fact]) error) *outcomeCounts {
	l.t.Helper()
	inbox, err := parley.NewInbox(store, &parley.InboxConfig{Consumer: l.queue})
	if err != nil {
		l.t.Fatal(err)
	}
	out := &outcomeCounts{}
	r := parley.NewRouter()
	parley.OnTx(r, inbox, l.events[0], handle)
	consumer, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.queue, Concurrency: 8, Prefetch: 100, Logger: quiet,
		Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second}},
		Hooks: parley.ConsumerHooks{Done: func(c parley.ConsumerReport) {
			switch c.Outcome {
			case parley.OutcomeHandled:
				out.handled.Add(1)
			case parley.OutcomeDuplicate:
				out.duplicate.Add(1)
			case parley.OutcomeRetried:
				out.retried.Add(1)
			}
		}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	stop := start(l.t, "consumer", consumer)
	eventually(l.t, "all copies are settled", func() bool {
		return out.handled.Load()+out.duplicate.Load() == int64(messages)
	})
	stop()
	return out
}

// multiply gets all messages of the queue and publishes each several times, with the copies side by side, so that
// different workers handle them at the same time. change, if it is not nil, modifies the copies.
func (l *lab) multiply(times int, change func(*amqp.Publishing)) {
	l.t.Helper()
	err := l.onBroker(func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(l.queue, true, false, false, false, nil)
		if err != nil {
			return err
		}
		var all []amqp.Delivery
		for range q.Messages {
			d, ok, err := ch.Get(l.queue, true)
			if err != nil || !ok {
				return err
			}
			all = append(all, d)
		}
		if err := ch.Confirm(false); err != nil {
			return err
		}
		var last *amqp.DeferredConfirmation
		for d := range slices.Values(all) {
			m := amqp.Publishing{
				MessageId: d.MessageId, Type: d.Type, Headers: d.Headers, ContentType: d.ContentType,
				DeliveryMode: amqp.Persistent, Timestamp: d.Timestamp, AppId: d.AppId, Body: d.Body,
			}
			if change != nil {
				change(&m)
			}
			for range times {
				last, err = ch.PublishWithDeferredConfirm(d.Exchange, d.RoutingKey, true, false, m)
				if err != nil {
					return err
				}
			}
		}
		if last != nil {
			_, err = last.WaitContext(l.t.Context())
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}
