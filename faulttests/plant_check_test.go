//go:build unix

package faulttests_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// Each planted mistake runs in a scenario that parley passes, so the findings are caused by the mistake.
func eachPlant(t *testing.T, mistake plant, scenario func(t *testing.T, p plant) findings, found func(f findings) []int64) {
	t.Helper()
	t.Run("without it", func(t *testing.T) {
		f := scenario(t, noPlant)
		if faults := f.faults(); len(faults) > 0 || len(found(f)) > 0 {
			t.Errorf("the scenario fails without a mistake: %s, %v", strings.Join(faults, "; "), found(f))
		}
	})
	t.Run("with it", func(t *testing.T) {
		f := scenario(t, mistake)
		if len(found(f)) == 0 {
			t.Errorf("the checker did not detect %q; it found: %v", mistake, f.faults())
		}
	})
}

func lost(f findings) []int64      { return f.lost }
func doubled(f findings) []int64   { return f.doubled }
func reordered(f findings) []int64 { return f.reordered }

// plantedRelay sends the due records once, in this process.
func (l *lab) plantedRelay(p plant, pub parley.Publisher, c *parley.RelayConfig) *parley.Relay {
	l.t.Helper()
	source, pub := p.relay(l.store, pub)
	c.Logger = quiet
	r, err := parley.NewRelay(source, pub, c)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func (l *lab) drain(r *parley.Relay) {
	l.t.Helper()
	if _, err := r.Drain(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// An id is assigned before the commit, so the first id may become visible last.
func TestTheCheckerCatchesACursor(t *testing.T) {
	eachPlant(t, cursorSelect, func(t *testing.T, p plant) findings {
		l := newLab(t, 2)
		r := l.plantedRelay(p, l.direct(), &parley.RelayConfig{BatchSize: 10})
		slow, quick := writer{l: l, exchange: 0, group: 1}, writer{l: l, exchange: 1, group: 1}
		inserted, commit := make(chan struct{}), make(chan struct{})
		var committing sync.WaitGroup
		committing.Go(func() { slow.writeSlowly(inserted, commit) })
		<-inserted
		if err := quick.write(t.Context()); err != nil {
			t.Error(err)
		}
		l.drain(r)
		close(commit)
		committing.Wait()
		_, _ = r.Drain(t.Context()) // with the mistake it makes no progress
		return l.judgedWithoutOutbox()
	}, lost)
}

// judgedWithoutOutbox ignores rows that remain in the outbox, because the missing arrivals suffice.
func (l *lab) judgedWithoutOutbox() findings {
	f := l.judged()
	f.left = 0
	return f
}

// writeSlowly commits one event on a signal.
func (w *writer) writeSlowly(inserted chan<- struct{}, commit <-chan struct{}) {
	ctx := w.l.t.Context()
	err := pgx.BeginFunc(ctx, w.l.pool, func(tx pgx.Tx) error {
		number := w.l.number.Add(1)
		id, err := parley.Publish(ctx, w.l.outbox.In(tx), w.l.events[w.exchange], fact{Number: number})
		if err == nil {
			_, err = tx.Exec(ctx, "INSERT INTO ledger (number, exchange, event_id, fate) VALUES ($1, $2, $3, $4)", number, w.l.exchanges[w.exchange], id, committed)
		}
		close(inserted)
		<-commit
		return err
	})
	if err != nil {
		w.l.t.Error(err)
	}
}

// dyingPublisher sends half of the first batch and then behaves as if its process had died.
type dyingPublisher struct {
	parley.Publisher
	dead bool
}

func (p *dyingPublisher) Publish(ctx context.Context, messages []parley.Message) []error {
	if !p.dead {
		p.dead = true
		p.Publisher.Publish(ctx, messages[:len(messages)/2])
	}
	return slices.Repeat([]error{parley.ErrUnknown}, len(messages))
}

func TestTheCheckerCatchesADeleteBeforeTheConfirm(t *testing.T) {
	eachPlant(t, deleteBeforeConfirm, func(t *testing.T, p plant) findings {
		l := newLab(t, 1)
		l.produce(100)
		dying := l.plantedRelay(p, &dyingPublisher{Publisher: l.direct()}, &parley.RelayConfig{})
		if _, err := dying.Drain(t.Context()); err == nil {
			t.Error("the relay did not detect the end of its publisher")
		}
		l.drain(l.plantedRelay(noPlant, l.direct(), &parley.RelayConfig{}))
		return l.judged()
	}, lost)
}

func TestTheCheckerCatchesAnIgnoredReturn(t *testing.T) {
	eachPlant(t, confirmBeforeReturn, func(t *testing.T, p plant) findings {
		l := newLab(t, 2)
		b := l.direct()
		// The second exchange has no bound queue any more.
		if err := b.DeleteExchange(t.Context(), l.exchanges[1]); err != nil {
			t.Fatal(err)
		}
		l.produce(20)
		l.drain(l.plantedRelay(p, b, &parley.RelayConfig{Unroutable: parley.UnroutablePark}))
		return l.judged()
	}, lost)
}

// gate blocks the first publication of a relay.
type gate struct {
	parley.Publisher
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
}

func (g *gate) Publish(ctx context.Context, messages []parley.Message) []error {
	g.once.Do(func() {
		close(g.reached)
		<-g.open
	})
	return g.Publisher.Publish(ctx, messages)
}

// While one relay publishes a batch, another one must not publish the next.
func TestTheCheckerCatchesSkipLockedInOrderedMode(t *testing.T) {
	eachPlant(t, skipLocked, func(t *testing.T, p plant) findings {
		l := newLab(t, 1)
		l.produce(40)
		g := &gate{Publisher: l.direct(), reached: make(chan struct{}), open: make(chan struct{})}
		slow := l.plantedRelay(p, g, &parley.RelayConfig{BatchSize: 10})
		quick := l.plantedRelay(p, l.direct(), &parley.RelayConfig{BatchSize: 10})
		var draining sync.WaitGroup
		draining.Go(func() { l.drain(slow) })
		<-g.reached
		_, _ = quick.Drain(t.Context()) // on standby Drain returns an error
		close(g.open)
		draining.Wait()
		return l.judged()
	}, reordered)
}

func TestTheCheckerCatchesAnAckBeforeTheCommit(t *testing.T) {
	eachPlant(t, ackBeforeCommit, func(t *testing.T, p plant) findings {
		l := newLab(t, 1)
		l.produce(100)
		l.drain(l.plantedRelay(noPlant, l.direct(), &parley.RelayConfig{}))
		l.dieInMidHandler(p.consumer(l.direct()), 10)
		l.consumeAll(l.child("consumer"))
		return l.evidence().inEffect()
	}, lost)
}

// dieInMidHandler consumes until the nth handler is between its effect and its commit. Then it simulates the death of the
// process: the transaction rolls back, and the connection is closed.
func (l *lab) dieInMidHandler(b parley.Broker, nth int32) {
	l.t.Helper()
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.queue})
	if err != nil {
		l.t.Fatal(err)
	}
	r := parley.NewRouter()
	var handled atomic.Int32
	reached := make(chan struct{})
	parley.OnTx(r, inbox, l.events[0], func(ctx context.Context, tx pgx.Tx, e parley.Event[fact]) error {
		if _, err := tx.Exec(ctx, "INSERT INTO effects (number, process) VALUES ($1, 0)", e.Payload.Number); err != nil {
			return err
		}
		if handled.Add(1) == nth {
			close(reached)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	c, err := parley.NewConsumer(b, r, &parley.ConsumerConfig{
		Queue: l.queue, Concurrency: 1, Logger: quiet, ShutdownTimeout: time.Millisecond,
		Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	stop := start(l.t, "consumer", c)
	<-reached
	stop()
}

func TestTheCheckerCatchesAnInboxThatChecksAndThenInserts(t *testing.T) {
	eachPlant(t, checkThenInsert, func(t *testing.T, p plant) findings {
		l := newLab(t, 1)
		var store parley.InboxStore[pgx.Tx] = l.store
		if p == checkThenInsert {
			store = lookingInbox{l.store, l.pool}
		}
		_, f := l.duplicates(store)
		return f
	}, doubled)
}

// consumeAll runs consumers until the queue is empty. A stopped consumer requeues the messages that it has not started.
func (l *lab) consumeAll(s childSpec) {
	l.t.Helper()
	eventually(l.t, "the queue is empty and has no unacked messages", func() bool {
		p := spawn(l.t, s)
		p.works()
		eventually(l.t, "the queue is empty", func() bool { n, err := l.ready(l.queue); return err == nil && n == 0 })
		p.stop()
		return l.released() == 0
	})
}

// A handler that ends after a lost connection must not ack the delivery with the same tag on the next one.
func TestTheCheckerCatchesAnAckWithoutItsSession(t *testing.T) {
	eachPlant(t, ackWithoutSession, func(t *testing.T, p plant) findings {
		l := newLab(t, 1)
		l.produce(5)
		l.drain(l.plantedRelay(noPlant, l.direct(), &parley.RelayConfig{}))
		proxy, broker := through(t, l.broker)
		var b parley.Subscriber = l.directWith(func(c *rabbitmq.Config) { c.URL = broker })
		if p == ackWithoutSession {
			forgetful := &forgetfulBroker{url: broker}
			t.Cleanup(forgetful.close)
			b = forgetful
		}
		first, old := l.hold(b, 3)
		l.settle(old[0])
		if proxy.Cut() == 0 {
			t.Fatal("no connection was cut")
		}
		eventually(t, "the subscription ends with its connection", func() bool {
			_, err := first.Next(t.Context())
			return err != nil
		})
		second, _ := l.hold(b, 4)
		if err := old[1].Settle(parley.SettleAck); err != nil && !errors.Is(err, parley.ErrStale) {
			t.Error(err)
		}
		if err := second.Close(); err != nil { // no delivery of the second session was handled
			t.Error(err)
		}
		return l.effectsOf(old[:2])
	}, lost)
}

// hold receives n deliveries without settling them.
func (l *lab) hold(b parley.Subscriber, n int) (parley.Subscription, []*parley.Delivery) {
	l.t.Helper()
	sub, err := b.Subscribe(l.t.Context(), l.queue, parley.SubscribeOptions{Prefetch: n})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = sub.Close() }) // an error is expected: its connection is cut
	deliveries := make([]*parley.Delivery, n)
	for i := range deliveries {
		if deliveries[i], err = sub.Next(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
	}
	return sub, deliveries
}

// settle acks a delivery and waits until the broker delivers one more.
func (l *lab) settle(d *parley.Delivery) {
	l.t.Helper()
	before, err := l.ready(l.queue)
	if err == nil {
		err = d.Settle(parley.SettleAck)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	eventually(l.t, "the broker has the ack", func() bool { n, err := l.ready(l.queue); return err == nil && n == before-1 })
}

// effectsOf checks the handled deliveries and the messages that remain in the queue.
func (l *lab) effectsOf(handled []*parley.Delivery) findings {
	l.t.Helper()
	e := l.evidence()
	l.released()
	for _, a := range l.arrivals() {
		e.effects[a.number] = 1
	}
	for _, d := range handled {
		a, err := readArrival(amqp.Delivery{Body: d.Body})
		if err != nil {
			l.t.Fatal(err)
		}
		e.effects[a.number] = 1
	}
	return e.inEffect()
}

// released waits until the queue has no consumer, and returns its number of messages.
func (l *lab) released() (left int) {
	l.t.Helper()
	eventually(l.t, "the queue has no consumer", func() bool {
		consumers := 0
		err := l.onBroker(func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(l.queue, true, false, false, false, nil)
			left, consumers = q.Messages, q.Consumers
			return err
		})
		return err == nil && consumers == 0
	})
	return left
}
