//go:build !race

package benchmarks_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/rabbitmq"
)

// user is the payload: with the event around it, 300 bytes on the wire.
type user struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	Notes string `json:"notes"`
}

func payload(i int) user {
	return user{ID: int64(i), Name: "Ada Lovelace", Email: "ada@example.org", Notes: strings.Repeat("n", 96)}
}

// bench is the environment of a benchmark: an exchange with one durable queue, a raw
// connection and a parley connection.
type bench struct {
	exchange string
	queue    string
	event    *parley.EventType[user]
	broker   *rabbitmq.Broker
	raw      *amqp.Channel // in confirm mode
	url      string
}

func setUp(b *testing.B) *bench {
	b.Helper()
	name := testenv.Unique(b, "bench")
	w := &bench{exchange: name, queue: name, event: parley.NewEvent[user](name, "user.renamed"), url: testenv.RabbitMQ(b)}
	var err error
	if w.broker, err = rabbitmq.New(&rabbitmq.Config{URL: w.url, Logger: quiet()}); err != nil {
		b.Fatal(err)
	}
	err = w.broker.Declare(b.Context(), parley.Topology{
		Exchanges: []parley.Exchange{{Name: name}}, Queues: []parley.Queue{{Name: name}},
		Bindings: []parley.Binding{{Queue: name, Exchange: name}},
	})
	if err != nil {
		b.Fatal(err)
	}
	w.raw = w.channel(b)
	if err := w.raw.Confirm(false); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var errs []error
		// A consumer declares the queues of its default retry policy, and one that counts the consumers.
		for _, queue := range []string{
			name, parley.ParkedQueue(name), parley.MembersQueue(name), name + ".retry.10s", name + ".retry.1m", name + ".retry.10m",
		} {
			errs = append(errs, w.broker.DeleteQueue(ctx, queue))
		}
		if err := errors.Join(append(errs, w.broker.DeleteExchange(ctx, name), w.broker.Close(ctx))...); err != nil {
			b.Error(err)
		}
	})
	return w
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// channel returns a channel on a raw connection of its own.
func (w *bench) channel(b *testing.B) *amqp.Channel {
	b.Helper()
	conn, err := amqp.Dial(w.url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	return ch
}

// purge empties the queue between rounds and checks its message count.
func (w *bench) purge(b *testing.B, want int) {
	b.Helper()
	n, err := w.raw.QueuePurge(w.queue, false)
	if err != nil || n != want {
		b.Fatalf("%d messages were in the queue (%v), want %d", n, err, want)
	}
}

// messages returns n events as a relay publishes them.
func (w *bench) messages(b *testing.B, n int) []parley.Message {
	b.Helper()
	return messagesOf(b, n, func(int) *parley.EventType[user] { return w.event })
}

// messagesOf does the same with an event type for each of the events.
func messagesOf(b *testing.B, n int, event func(i int) *parley.EventType[user]) []parley.Message {
	b.Helper()
	out := make([]parley.Message, n)
	for i := range out {
		r, err := event(i).Record(payload(i))
		if err != nil {
			b.Fatal(err)
		}
		out[i] = r.Message
		out[i].Body = parley.FinishBody(r.Kind, int64(i+1), r.Body)
	}
	return out
}

func publishing(m *parley.Message) amqp.Publishing {
	return amqp.Publishing{
		DeliveryMode: amqp.Persistent, ContentType: parley.ContentType, MessageId: m.ID, Type: string(m.Kind),
		Timestamp: m.Timestamp, Body: m.Body,
	}
}

// rawPublish publishes messages with the client library, at most window of them unconfirmed.
func (w *bench) rawPublish(b *testing.B, messages []parley.Message, window int) {
	b.Helper()
	each := func(yield func(*parley.Message) bool) {
		for i := range messages {
			if !yield(&messages[i]) {
				return
			}
		}
	}
	if err := publishRaw(w.raw, each, window); err != nil {
		b.Fatal(err)
	}
}

// publishRaw is the fastest way with the client library: one goroutine, one channel, at most
// window messages unconfirmed.
func publishRaw(ch *amqp.Channel, messages iter.Seq[*parley.Message], window int) error {
	flight := make([]*amqp.DeferredConfirmation, window) // a ring
	next := 0
	for m := range messages {
		if c := flight[next]; c != nil && !c.Wait() {
			return errRejected
		}
		c, err := ch.PublishWithDeferredConfirm(m.Exchange, m.RoutingKey, true, false, publishing(m))
		if err != nil {
			return err
		}
		flight[next] = c
		next = (next + 1) % window
	}
	for _, c := range flight {
		if c != nil && !c.Wait() {
			return errRejected
		}
	}
	return nil
}

var errRejected = errors.New("the broker rejected a message")

// outbox is a PostgreSQL outbox in a separate database.
type outbox struct {
	pool   *pgxpool.Pool
	store  *postgres.Store
	outbox *parley.Outbox[pgx.Tx]
}

func openOutbox(b *testing.B) *outbox {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), testenv.Postgres(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	o := &outbox{pool: pool}
	if o.store, err = postgres.New(pool, nil); err == nil {
		err = o.store.Migrate(b.Context())
	}
	if err == nil {
		o.outbox, err = parley.NewOutbox[pgx.Tx](o.store, nil)
	}
	if err != nil {
		b.Fatal(err)
	}
	return o
}

// fill records n events, a thousand at a time, and lets the database settle.
func (o *outbox) fill(b *testing.B, event *parley.EventType[user], n int) {
	b.Helper()
	o.fillEach(b, n, func(int) *parley.EventType[user] { return event })
}

// fillEach does the same with an event type for each of the events.
func (o *outbox) fillEach(b *testing.B, n int, event func(i int) *parley.EventType[user]) {
	b.Helper()
	for done := 0; done < n; done += 1000 {
		records := make([]parley.Record, min(1000, n-done))
		for i := range records {
			var err error
			if records[i], err = event(done + i).Record(payload(done + i)); err != nil {
				b.Fatal(err)
			}
		}
		err := pgx.BeginFunc(b.Context(), o.pool, func(tx pgx.Tx) error {
			_, err := o.outbox.In(tx).Record(b.Context(), records...)
			return err
		})
		if err != nil {
			b.Fatal(fmt.Errorf("fill outbox: %w", err))
		}
	}
	if _, err := o.pool.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
}
