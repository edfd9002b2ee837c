// Package demo is the demo of `parley demo`: events in transactions, an outbox, a relay, a broker and a consumer. It checks that
// exactly the right events arrive.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// User is the payload of the demo's events.
type User struct {
	ID   int64  `json:"user_id"`
	Name string `json:"name"`
}

// The contracts of the demo. Done is published last: when it has arrived, all earlier events have arrived too.
var (
	Renamed = parley.NewEvent[User]("user", "renamed")
	Remind  = parley.NewEvent[User]("user", "remind.photo")
	Done    = parley.NewEvent[User]("user", "demo.done")
)

// Delay is the delay of the scheduled event.
const Delay = time.Second

// Limit is the timeout of the whole demo.
const Limit = 10 * time.Second

const queue = "demo"

// A Storage is the database of the demo, with its outbox.
type Storage interface {
	parley.RelaySource
	parley.OutboxInspector
	// InTx renames a user and runs fn in one transaction, which commits if fn returns nil.
	InTx(ctx context.Context, u User, fn func(in *parley.TxOutbox) error) error
	// Users counts the users that committed transactions have renamed.
	Users(ctx context.Context) (int, error)
}

// Run runs the demo on s and prints each step to out. It returns an error unless exactly the right events arrived.
func Run(ctx context.Context, out io.Writer, s Storage) error {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	d := &demo{store: s, log: newLog(out), broker: memory.NewBroker(nil), arrived: make(chan arrival, 64)}
	relay, consumer, err := d.build()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.log.header()
	start := time.Now()
	err = errors.Join(d.perform(ctx, relay, consumer), d.check(context.WithoutCancel(ctx)))
	d.summary(time.Since(start), err)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// perform runs the steps of the demo while relay and consumer run.
func (d *demo) perform(ctx context.Context, background ...parley.Runner) error {
	running, stop := context.WithCancel(ctx)
	errs := make([]error, len(background))
	var wg sync.WaitGroup
	for i, r := range background {
		wg.Go(func() { errs[i] = r.Run(running) })
	}
	err := d.tell(ctx)
	stop()
	wg.Wait()
	return errors.Join(append(errs, err)...)
}

type demo struct {
	store   Storage
	broker  *memory.Broker
	log     *log
	arrived chan arrival

	story []arrival // the events that arrived, in order; owned by tell until Run has ended
}

// An arrival is an event that reached its handler.
type arrival struct {
	key  string
	user User
	at   time.Time
}

func (d *demo) build() (*parley.Relay, *parley.Consumer, error) {
	relay, err := parley.NewRelay(d.store, observed{d.broker, d.log}, nil)
	if err != nil {
		return nil, nil, err
	}
	r := parley.NewRouter()
	parley.OnPattern(r, "user", "#", d.receive)
	consumer, err := parley.NewConsumer(d.broker, r, &parley.ConsumerConfig{Queue: queue, Topology: topology(), Concurrency: 1})
	return relay, consumer, err
}

func topology() parley.Topology {
	return parley.Topology{
		Exchanges: []parley.Exchange{{Name: "user"}},
		Queues:    []parley.Queue{{Name: queue}},
		Bindings:  []parley.Binding{{Queue: queue, Exchange: "user"}},
	}
}

func (d *demo) receive(_ context.Context, e parley.Event[User]) error {
	at := time.Now()
	since := d.log.since(e.Type, at)
	d.log.line("received", e.Aggregate, e.Type, e.Payload, since)
	d.arrived <- arrival{e.Type, e.Payload, at}
	return nil
}

// tell runs the steps of a service, then waits for the last event.
func (d *demo) tell(ctx context.Context) error {
	if err := d.broker.Declare(ctx, topology()); err != nil { // before the first event: one without a bound queue is dropped
		return err
	}
	for _, step := range [...]func(context.Context) error{d.rollBack, d.commit, d.schedule, d.cancel} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := d.await(ctx, Remind.RoutingKey()); err != nil {
		return err
	}
	if err := d.publish(ctx, "committed", Done, ada); err != nil {
		return err
	}
	d.log.tell(Done.RoutingKey())
	return d.await(ctx, Done.RoutingKey())
}

// await collects arrivals until one with the routing key has arrived.
func (d *demo) await(ctx context.Context, key string) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %q: %w", key, context.Cause(ctx))
		case a := <-d.arrived:
			d.story = append(d.story, a)
			if a.key == key {
				return nil
			}
		}
	}
}
