package parley_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

// mailbox is a service whose queue "mail" receives all events of accounts. The examples
// of this file share it.
type mailbox struct {
	store  *memory.Store
	broker *memory.Broker
	outbox *parley.Outbox[*memory.Tx]
	inbox  *parley.Inbox[*memory.Tx]
	router *parley.Router
}

func newMailbox() *mailbox {
	m := &mailbox{store: memory.NewStore(), broker: memory.NewBroker(nil), router: parley.NewRouter()}
	var err1, err2 error
	m.outbox, err1 = parley.NewOutbox(m.store, nil)
	m.inbox, err2 = parley.NewInbox(m.store, &parley.InboxConfig{Consumer: "mail"})
	err3 := m.broker.Declare(context.Background(), m.topology())
	if err := errors.Join(err1, err2, err3); err != nil {
		panic(err)
	}
	return m
}

func (m *mailbox) topology() parley.Topology {
	return parley.Topology{
		Exchanges: []parley.Exchange{{Name: "account"}},
		Queues:    []parley.Queue{{Name: "mail"}},
		Bindings:  []parley.Binding{{Queue: "mail", Exchange: "account"}},
	}
}

// publish publishes events and relays them to the queue.
func (m *mailbox) publish(ctx context.Context, e *parley.EventType[account], accounts ...account) {
	err := m.store.InTx(ctx, func(tx *memory.Tx) error {
		_, err := parley.PublishAll(ctx, m.outbox.In(tx), e, accounts)
		return err
	})
	if err != nil {
		panic(err)
	}
	m.relay(ctx)
}

func (m *mailbox) relay(ctx context.Context) {
	relay, err := parley.NewRelay(m.store, m.broker, nil)
	if err == nil {
		_, err = relay.Drain(ctx)
	}
	if err != nil {
		panic(err)
	}
}

// consume runs a consumer until ctx ends.
func (m *mailbox) consume(ctx context.Context, retry parley.RetryPolicy) {
	c, err := parley.NewConsumer(m.broker, m.router, &parley.ConsumerConfig{
		Queue: "mail", Topology: m.topology(), Concurrency: 1, Retry: retry, Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		err = c.Run(ctx)
	}
	if err != nil {
		panic(err)
	}
}

// A handler gets a decoded payload. Returning nil acks the message; an error causes a retry.
func ExampleOn() {
	ctx, stop := context.WithCancel(context.Background())
	m := newMailbox()
	parley.On(m.router, accountRenamed, func(_ context.Context, e parley.Event[account]) error {
		fmt.Println(e.ID, e.Aggregate, e.Type, e.Payload.FirstName)
		stop()
		return nil
	})
	m.publish(ctx, accountRenamed, account{1, "Ada"})
	m.consume(ctx, parley.DefaultRetry)
	// Output: 1 account renamed Ada
}

// OnTx gives an exactly-once effect, however often the message is delivered: the handler's writes,
// its published events and the message's identity are one transaction.
func ExampleOnTx() {
	ctx, stop := context.WithCancel(context.Background())
	m := newMailbox()
	greeted := 0
	parley.OnTx(m.router, m.inbox, accountRenamed, func(ctx context.Context, tx *memory.Tx, e parley.Event[account]) error {
		greeted++
		_, err := parley.Publish(ctx, m.outbox.In(tx), accountClosed, e.Payload)
		return err
	})
	parley.On(m.router, accountClosed, func(context.Context, parley.Event[account]) error { stop(); return nil })

	m.publish(ctx, accountRenamed, account{1, "Ada"})
	twice := m.broker.Messages("mail") // the same message once more, as after a relay's crash
	if errs := m.broker.Publish(ctx, twice); errs != nil {
		panic(errors.Join(errs...))
	}
	m.publish(ctx, accountClosed, account{2, "Eve"}) // the end of the queue
	m.consume(ctx, parley.DefaultRetry)
	fmt.Println("greeted:", greeted)
	fmt.Println("published with it:", len(m.store.Pending()))
	// Output:
	// greeted: 1
	// published with it: 1
}

// Patterns are those of AMQP bindings. The most specific route wins.
func ExampleRouter_HandleFunc() {
	ctx, stop := context.WithCancel(context.Background())
	m := newMailbox()
	parley.On(m.router, accountRenamed, func(_ context.Context, e parley.Event[account]) error {
		fmt.Println("renamed:", e.Payload.FirstName)
		return nil
	})
	m.router.HandleFunc("account", "remind.*", func(_ context.Context, d *parley.Delivery) error {
		fmt.Println("some reminder:", d.RoutingKey)
		return nil
	})
	m.router.Default(parley.HandlerFunc(func(_ context.Context, d *parley.Delivery) error {
		fmt.Println("anything else:", d.RoutingKey)
		stop()
		return nil
	}))
	m.publish(ctx, accountRenamed, account{1, "Ada"})
	m.publish(ctx, parley.NewEvent[account]("account", "remind.photo"), account{1, "Ada"})
	m.publish(ctx, accountClosed, account{1, "Ada"})
	m.consume(ctx, parley.DefaultRetry)
	// Output:
	// renamed: Ada
	// some reminder: remind.photo
	// anything else: closed
}

// A message that cannot be handled is parked with its history, and can be replayed later.
func ExamplePark() {
	ctx, stop := context.WithCancel(context.Background())
	m := newMailbox()
	fixed := false
	parley.On(m.router, accountRenamed, func(_ context.Context, e parley.Event[account]) error {
		if e.Payload.ID == 1 && !fixed {
			return parley.Park(errors.New("there is no mail address")) // no retry would help
		}
		fmt.Println("handled:", e.Payload.FirstName)
		if e.Payload.ID == 2 || fixed {
			stop()
		}
		return nil
	})
	m.publish(ctx, accountRenamed, account{1, "Ada"}, account{2, "Bob"})
	m.consume(ctx, parley.DefaultRetry)

	ctx, stop = context.WithCancel(context.Background())
	defer stop()
	err := parley.VisitParked(ctx, m.broker, "mail", nil, func(p *parley.ParkedMessage) (parley.ParkedAction, error) {
		fmt.Printf("parked: %s %s after %d attempt: %s\n", p.Exchange, p.RoutingKey, p.History.Attempts, p.History.Reason)
		return parley.ParkedReplay, nil
	})
	if err != nil {
		panic(err)
	}
	fixed = true
	m.consume(ctx, parley.DefaultRetry)
	// Output:
	// handled: Bob
	// parked: account renamed after 1 attempt: there is no mail address
	// handled: Ada
}

// Ordered handles the messages of one key one after another, retries included.
func ExampleOrdered() {
	ctx, stop := context.WithCancel(context.Background())
	m := newMailbox()
	byID := accountRenamed.WithKey(func(a account) string { return fmt.Sprint(a.ID) })
	failed := false
	parley.On(m.router, byID, func(_ context.Context, e parley.Event[account]) error {
		if !failed {
			failed = true
			return errors.New("the mail server is busy")
		}
		fmt.Println(e.Payload.FirstName, "attempt", e.Delivery.Attempt)
		if e.Payload.FirstName == "Adele" {
			stop()
		}
		return nil
	}, parley.Ordered(nil))
	m.publish(ctx, byID, account{1, "Ada"}, account{1, "Adele"})
	m.consume(ctx, parley.DefaultRetry)
	// Output:
	// Ada attempt 2
	// Adele attempt 1
}

// A route's own policy: two immediate retries in this process, then the parked queue.
func ExampleRetry() {
	ctx, stop := context.WithCancel(context.Background())
	m := newMailbox()
	plan := parley.RetryPolicy{Immediate: []time.Duration{time.Millisecond, time.Millisecond}, Delays: []time.Duration{}}
	parley.On(m.router, accountRenamed, func(_ context.Context, e parley.Event[account]) error {
		fmt.Println("attempt", e.Delivery.Attempt)
		if e.Delivery.Attempt < 3 {
			return errors.New("the mail server is busy")
		}
		stop()
		return nil
	}, parley.Retry(plan))
	m.publish(ctx, accountRenamed, account{1, "Ada"})
	m.consume(ctx, parley.DefaultRetry)
	// Output:
	// attempt 1
	// attempt 2
	// attempt 3
}

// Middleware runs around the handlers that are registered after it; the first is the outermost.
func ExampleRouter_Use() {
	r := parley.NewRouter()
	r.Use(parley.Timeout(30*time.Second), func(next parley.Handler) parley.Handler {
		return parley.HandlerFunc(func(ctx context.Context, d *parley.Delivery) error {
			fmt.Println("before", d.RoutingKey)
			err := next.Handle(ctx, d)
			fmt.Println("after:", err)
			return err
		})
	})
	parley.On(r, accountClosed, func(ctx context.Context, _ parley.Event[account]) error {
		_, bounded := ctx.Deadline()
		fmt.Println("bounded:", bounded)
		return nil
	})
	d, _ := parleytest.NewDelivery(parley.Message{Exchange: "account", RoutingKey: "closed", Body: []byte(`{"payload": {}}`)})
	if err := r.Dispatch(context.Background(), d); err != nil {
		panic(err)
	}
	// Output:
	// before closed
	// bounded: true
	// after: <nil>
}

// Every message carries the correlation id of the context, and a handler receives it in its
// context.
func ExampleWithCorrelationID() {
	ctx, stop := context.WithCancel(parley.WithCorrelationID(context.Background(), "request-17"))
	m := newMailbox()
	parley.On(m.router, accountRenamed, func(ctx context.Context, _ parley.Event[account]) error {
		fmt.Println(parley.CorrelationID(ctx))
		stop()
		return nil
	})
	m.publish(ctx, accountRenamed, account{1, "Ada"})
	m.consume(ctx, parley.DefaultRetry)
	// Output: request-17
}
