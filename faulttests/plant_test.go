package faulttests_test

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// A plant is a known mistake of outbox relays and consumers. The checker has to catch each one
// (plant_check_test.go), or it would not catch ours.
type plant string

const (
	noPlant             plant = ""
	cursorSelect        plant = "cursor select"
	deleteBeforeConfirm plant = "delete before confirm"
	confirmBeforeReturn plant = "confirm before return"
	skipLocked          plant = "skip locked in ordered mode"
	ackBeforeCommit     plant = "ack before commit"
	checkThenInsert     plant = "inbox checks, then inserts"
	ackWithoutSession   plant = "ack without its session"
)

// relay puts the mistake between a relay and what it works with.
func (p plant) relay(source parley.RelaySource, pub parley.Publisher) (parley.RelaySource, parley.Publisher) {
	switch p {
	case cursorSelect:
		return &cursorSource{RelaySource: source}, pub
	case deleteBeforeConfirm:
		return hastySource{source}, pub
	case skipLocked:
		return skippingSource{source}, pub
	case confirmBeforeReturn:
		return source, deafPublisher{pub}
	}
	return source, pub
}

// consumer puts the mistake between a consumer and its broker.
func (p plant) consumer(b parley.Broker) parley.Broker {
	if p == ackBeforeCommit {
		return hastyBroker{b, b.(parley.SecretKeeper)}
	}
	return b
}

// cursorSource remembers the last id, and so never sees an earlier one that is committed later.
type cursorSource struct {
	parley.RelaySource
	last int64
}

func (s *cursorSource) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	b, err := s.RelaySource.Claim(ctx, o)
	if err != nil {
		return nil, err
	}
	chosen := chosenBatch{Batch: b}
	for _, r := range b.Records() {
		if r.ID > s.last {
			chosen.records = append(chosen.records, r)
			s.last = r.ID
		}
	}
	return chosen, nil
}

type chosenBatch struct {
	parley.Batch
	records []parley.Record
}

func (b chosenBatch) Records() []parley.Record { return b.records }

// hastySource deletes what it has read before anybody has published it.
type hastySource struct{ parley.RelaySource }

func (s hastySource) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	b, err := s.RelaySource.Claim(ctx, o)
	if err != nil {
		return nil, err
	}
	records := b.Records()
	ids := make([]int64, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	if _, err := b.Settle(ctx, ids, nil); err != nil {
		return nil, err
	}
	return goneBatch{chosenBatch{b, records}}, nil
}

type goneBatch struct{ chosenBatch }

func (goneBatch) Settle(context.Context, []int64, []parley.Parked) (int, error) { return 0, nil }

// skippingSource takes what is free in place of what is next.
type skippingSource struct{ parley.RelaySource }

func (s skippingSource) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	o.Mode = parley.ModeParallel
	return s.RelaySource.Claim(ctx, o)
}

// deafPublisher takes a confirm for success and never hears of a return.
type deafPublisher struct{ parley.Publisher }

func (p deafPublisher) Publish(ctx context.Context, messages []parley.Message) []error {
	outcomes := p.Publisher.Publish(ctx, messages)
	for i, err := range outcomes {
		if errors.Is(err, parley.ErrUnroutable) {
			outcomes[i] = nil
		}
	}
	return outcomes
}

// hastyBroker acknowledges a delivery when it comes, as auto-ack does.
type hastyBroker struct {
	parley.Broker
	parley.SecretKeeper
}

func (b hastyBroker) Subscribe(ctx context.Context, queue string, o parley.SubscribeOptions) (parley.Subscription, error) {
	sub, err := b.Broker.Subscribe(ctx, queue, o)
	return hastySubscription{sub}, err
}

type hastySubscription struct{ parley.Subscription }

func (s hastySubscription) Next(ctx context.Context) (*parley.Delivery, error) {
	d, err := s.Subscription.Next(ctx)
	if err != nil {
		return nil, err
	}
	again := parley.NewDelivery(d.Message, d.Queue, d.Redelivered, settledAlready{})
	return again, d.Settle(parley.Ack)
}

type settledAlready struct{}

func (settledAlready) Settle(parley.Settlement) error { return nil }

// lookingInbox looks whether it knows a message, does the work, and then notes it. Two copies at once both
// find nothing.
type lookingInbox struct {
	*postgres.Store
	pool *pgxpool.Pool
}

func (in lookingInbox) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, in.pool, func(tx pgx.Tx) error {
		var known bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM parley_inbox WHERE consumer = $1 AND identity = $2)", consumer, identity).Scan(&known)
		if err != nil {
			return err
		}
		if known {
			return parley.ErrDuplicate
		}
		if err := fn(ctx, tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO parley_inbox (consumer, identity) VALUES ($1, $2) ON CONFLICT DO NOTHING", consumer, identity)
		return err
	})
}

// forgetfulBroker acknowledges on whatever channel it has, as a client does that reopens channels behind its
// deliveries' backs: delivery tags begin anew on each.
type forgetfulBroker struct {
	url     string
	conns   []*amqp.Connection
	current *amqp.Channel
}

func (b *forgetfulBroker) Subscribe(_ context.Context, queue string, o parley.SubscribeOptions) (parley.Subscription, error) {
	conn, err := amqp.Dial(b.url)
	if err != nil {
		return nil, err
	}
	b.conns = append(b.conns, conn)
	if b.current, err = conn.Channel(); err != nil {
		return nil, err
	}
	if err := b.current.Qos(o.Prefetch, 0, false); err != nil {
		return nil, err
	}
	deliveries, err := b.current.Consume(queue, "", false, false, false, false, nil)
	return &forgetfulSubscription{b: b, queue: queue, deliveries: deliveries}, err
}

func (b *forgetfulBroker) close() {
	for _, conn := range b.conns {
		_ = conn.Close() // cut, most of them
	}
}

type forgetfulSubscription struct {
	b          *forgetfulBroker
	queue      string
	deliveries <-chan amqp.Delivery
}

func (s *forgetfulSubscription) Next(ctx context.Context) (*parley.Delivery, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case d, ok := <-s.deliveries:
		if !ok {
			return nil, parley.ErrSubscriptionLost
		}
		m := parley.Message{Exchange: d.Exchange, RoutingKey: d.RoutingKey, ID: d.MessageId, Body: d.Body}
		return parley.NewDelivery(m, s.queue, d.Redelivered, forgetfulAck{s.b, d.DeliveryTag}), nil
	}
}

func (s *forgetfulSubscription) Close() error { return s.b.current.Close() }

type forgetfulAck struct {
	b   *forgetfulBroker
	tag uint64
}

func (a forgetfulAck) Settle(parley.Settlement) error { return a.b.current.Ack(a.tag, false) }
