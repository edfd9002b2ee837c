package faulttests_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/rabbitmq"
)

// childVariable is the environment variable that gives the test binary a role, in JSON.
const childVariable = "PARLEY_FAULTS_CHILD"

// A childSpec is the role of a child process.
type childSpec struct {
	Role      string // a key of roles
	Database  string
	Broker    string
	Queue     string
	Exchanges []string
	Batch     int
	// Point is where it ends itself, at the Pass-th time, or stops itself with Freeze.
	Point  point
	Pass   int
	Freeze bool
	// First is the number of the first event that a producer writes.
	First int64
	// Fail has the handler fail the first attempt of one of so many events.
	Fail int
	// Park has it set aside one of so many events.
	Park int
	// WithoutInbox has a consumer handle what comes, duplicates too.
	WithoutInbox bool
	// Plant is a known mistake to work with.
	Plant plant
}

func (l *lab) child(role string) childSpec {
	return childSpec{Role: role, Database: l.database, Broker: l.broker, Queue: l.queue, Exchanges: l.exchanges, Batch: 100}
}

// A child is a process in its role.
type child struct {
	childSpec
	p      *points
	pool   *pgxpool.Pool
	store  *postgres.Store
	broker *rabbitmq.Broker
	outbox *parley.Outbox[pgx.Tx]
}

var roles = map[string]func(c *child, ctx context.Context) error{
	"relay":    (*child).relay,
	"consumer": (*child).consumer,
	"producer": (*child).producer,
	"callee":   (*child).callee,
}

// runChild plays a role until SIGTERM, the point or the parent's end, and returns the exit code.
func runChild(text string) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3) // nobody is there any more to see what this process does
	}()
	var c child
	err := json.Unmarshal([]byte(text), &c.childSpec)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = c.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (c *child) run(ctx context.Context) error {
	c.p = &points{at: c.Point, pass: max(c.Pass, 1), signal: syscall.SIGKILL}
	if c.Freeze {
		c.p.signal = syscall.SIGSTOP
	}
	cfg, err := pgxpool.ParseConfig(c.Database)
	if err != nil {
		return err
	}
	cfg.ConnConfig.Tracer = &pointedTracer{p: c.p, changed: map[*pgx.Conn]bool{}}
	cfg.MaxConns = 12
	if c.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	defer c.pool.Close()
	if c.store, err = postgres.New(c.pool, nil); err != nil {
		return err
	}
	if c.outbox, err = parley.NewOutbox(c.store, &parley.OutboxConfig{AppID: "faults"}); err != nil {
		return err
	}
	c.broker, err = rabbitmq.New(&rabbitmq.Config{URL: c.Broker, ConfirmTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	err = roles[c.Role](c, ctx)
	return errors.Join(err, c.broker.Close(context.WithoutCancel(ctx)))
}

var sayUp = sync.OnceFunc(func() { fmt.Fprintln(os.Stdout, upWord) })

func (c *child) relay(ctx context.Context) error {
	r, err := c.newRelay()
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

func (c *child) newRelay() (*parley.Relay, error) {
	source, pub := c.Plant.relay(c.store, pointedBroker{c.broker, c.p})
	return parley.NewRelay(source, pub, &parley.RelayConfig{
		BatchSize: c.Batch, PollInterval: 50 * time.Millisecond, StandbyInterval: 50 * time.Millisecond,
		Hooks: parley.RelayHooks{State: func(s parley.RelayState) {
			if s == parley.RelayActive || s == parley.RelayStandby {
				sayUp()
			}
		}},
	})
}

func (c *child) consumer(ctx context.Context) error {
	inbox, err := parley.NewInbox[pgx.Tx](c.store, &parley.InboxConfig{Consumer: c.Queue})
	if err != nil {
		return err
	}
	r := parley.NewRouter()
	r.Use(c.p.middleware)
	for _, event := range contracts(c.Exchanges) {
		if c.WithoutInbox {
			parley.On(r, event, c.effectAlone)
		} else {
			parley.OnTx(r, inbox, event, c.effect)
		}
	}
	consumer, err := parley.NewConsumer(c.Plant.consumer(pointedBroker{c.broker, c.p}), r, c.consumerConfig())
	if err != nil {
		return err
	}
	return consumer.Run(ctx)
}

func (c *child) consumerConfig() *parley.ConsumerConfig {
	return &parley.ConsumerConfig{
		Queue: c.Queue, Lanes: 8, Retry: parley.RetryPolicy{Quick: []time.Duration{}, Delays: []time.Duration{time.Second}},
		KillSwitch: parley.KillSwitchConfig{Share: 2}, // the failures here are in the messages
		Hooks: parley.ConsumerHooks{Subscribed: func(up bool, _ error) {
			if up {
				sayUp()
			}
		}},
	}
}

var errPlanned = errors.New("planned failure")

// effect is what a handled event leaves behind.
func (c *child) effect(ctx context.Context, tx pgx.Tx, e parley.Event[fact]) error {
	if c.Park > 0 && e.Payload.Number%int64(c.Park) == 0 && e.Delivery.History().Replays == 0 {
		return parley.Park(errPlanned)
	}
	if c.Fail > 0 && e.Payload.Number%int64(c.Fail) == 0 && e.Delivery.Attempt == 1 {
		return errPlanned
	}
	_, err := tx.Exec(ctx, "INSERT INTO effects (number, process) VALUES ($1, $2)", e.Payload.Number, os.Getpid())
	return err
}

func (c *child) effectAlone(ctx context.Context, e parley.Event[fact]) error {
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error { return c.effect(ctx, tx, e) })
}

// producer commits events, one in a transaction, until it is ended.
func (c *child) producer(ctx context.Context) error {
	events := contracts(c.Exchanges)
	for n := c.First; ctx.Err() == nil; n++ {
		exchange := int(n) % len(events)
		err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
			c.p.reach(beforeInsert)
			id, err := parley.Publish(ctx, c.outbox.In(tx), events[exchange], fact{Number: n})
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "INSERT INTO ledger (number, exchange, event_id, fate) VALUES ($1, $2, $3, $4)", n, c.Exchanges[exchange], id, committed)
			return err
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		sayUp()
	}
	return nil
}
