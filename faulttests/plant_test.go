//go:build unix

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

// A plant is a known mistake of outbox relays and consumers. The checker must detect each one
// (plant_check_test.go), which shows that it would detect real ones.
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

// relay wraps the source or publisher of a relay with the mistake.
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

// consumer wraps the broker of a consumer with the mistake.
func (p plant) consumer(b parley.Broker) parley.Broker {
	if p == ackBeforeCommit {
		return hastyBroker{b, b.(parley.SecretKeeper)}
	}
	return b
}

// cursorSource keeps the last id, and so never sees an earlier id that is committed later.
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

// hastySource deletes the claimed records before they are published.
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

// skippingSource skips locked rows, so it does not claim the next rows in order.
type skippingSource struct{ parley.RelaySource }

func (s skippingSource) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	o.Mode = parley.RelayModeParallel
	return s.RelaySource.Claim(ctx, o)
}

// deafPublisher treats a confirm as success and ignores returns.
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

// hastyBroker acks a delivery on receipt, like auto-ack.
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
	return again, d.Settle(parley.SettleAck)
}

type settledAlready struct{}

func (settledAlready) Settle(parley.Settlement) error { return nil }

// lookingInbox checks for the identity, runs the handler, and then inserts the identity. Two concurrent copies both
// find no identity.
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

// forgetfulBroker acks on its current channel, like a client that reopens channels without telling its
// deliveries: delivery tags restart on each channel.
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
		_ = conn.Close() // most of them are cut already
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
