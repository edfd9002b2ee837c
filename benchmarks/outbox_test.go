//go:build !race

package benchmarks_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// BenchmarkPublishInTransaction records one event per transaction, against a bare INSERT of the same row.
func BenchmarkPublishInTransaction(b *testing.B) {
	const n = 1000
	w, o := setUp(b), openOutbox(b)
	o.bare(b)
	for range b.N {
		compare(b,
			side{"bare insert", func(b *testing.B) int {
				timed(func() {
					for i := range n {
						o.inTx(b, func(tx pgx.Tx) error { return o.insertBare(b.Context(), tx, i) })
					}
				})
				return n
			}},
			side{"parley publish", func(b *testing.B) int {
				timed(func() {
					for i := range n {
						o.inTx(b, func(tx pgx.Tx) error {
							_, err := parley.Publish(b.Context(), o.outbox.In(tx), w.event, payload(i))
							return err
						})
					}
				})
				return n
			}})
		o.truncate(b)
	}
}

// BenchmarkPublish500InTransaction records 500 events with one statement, against the same
// number of bare rows copied by one statement.
func BenchmarkPublish500InTransaction(b *testing.B) {
	const n, batch = 10_000, 500
	w, o := setUp(b), openOutbox(b)
	o.bare(b)
	for range b.N {
		rate := compare(b,
			side{"bare copy", func(b *testing.B) int {
				timed(func() {
					for range n / batch {
						o.inTx(b, func(tx pgx.Tx) error {
							rows := pgx.CopyFromSlice(batch, func(i int) ([]any, error) {
								body, err := json.Marshal(payload(i))
								return []any{w.exchange, "user.renamed", "event", string(body), "{}"}, err
							})
							_, err := tx.CopyFrom(b.Context(), pgx.Identifier{"bare"}, []string{"exchange", "routing_key", "kind", "body", "properties"}, rows)
							return err
						})
					}
				})
				return n
			}},
			side{"parley record", func(b *testing.B) int {
				timed(func() {
					for range n / batch {
						records := make([]parley.Record, batch)
						for i := range records {
							var err error
							if records[i], err = w.event.Record(payload(i)); err != nil {
								b.Fatal(err)
							}
						}
						o.inTx(b, func(tx pgx.Tx) error {
							_, err := o.outbox.In(tx).Record(b.Context(), records...)
							return err
						})
					}
				})
				return n
			}})
		b.ReportMetric(1e6/rate, "µs/event")
		o.truncate(b)
	}
}

// bare creates the same table, with the same indexes and the same NOTIFY trigger, for the raw
// side.
func (o *outbox) bare(b *testing.B) {
	b.Helper()
	_, err := o.pool.Exec(b.Context(), `
		CREATE TABLE bare (LIKE parley_outbox INCLUDING ALL);
		CREATE FUNCTION bare_notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY bare; RETURN NULL; END $$;
		CREATE TRIGGER bare_notify AFTER INSERT ON bare FOR EACH STATEMENT EXECUTE FUNCTION bare_notify();`)
	if err != nil {
		b.Fatal(err)
	}
}

func (o *outbox) insertBare(ctx context.Context, tx pgx.Tx, i int) error {
	body, err := json.Marshal(payload(i))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO bare (exchange, routing_key, kind, body, properties) VALUES ($1, $2, 'event', $3, '{}')",
		"user", "user.renamed", string(body))
	return err
}

func (o *outbox) inTx(b *testing.B, f func(tx pgx.Tx) error) {
	b.Helper()
	if err := pgx.BeginFunc(b.Context(), o.pool, f); err != nil {
		b.Fatal(err)
	}
}

func (o *outbox) truncate(b *testing.B) {
	b.Helper()
	if _, err := o.pool.Exec(b.Context(), "TRUNCATE bare, parley_outbox"); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCommitToHandler measures from a commit to the handler, at rest: relay, RabbitMQ, consumer,
// against a hand-written loop with LISTEN, a raw publication and a raw consumer that acks each message. For a consumer that
// does not, the broker confirms before it has stored the message.
func BenchmarkCommitToHandler(b *testing.B) {
	const n = 500
	w, o := setUp(b), openOutbox(b)
	o.bare(b)
	ctx, stop := context.WithCancel(b.Context())
	arrived := make(chan time.Time, 1)
	ended := make(chan error, 3)
	go func() { ended <- o.bareRelay(ctx, b, w) }()
	running := w.runParley(ctx, b, o, func(user) { arrived <- time.Now() }, ended)
	raw, err := w.raw.Consume(w.rawQueue(b), "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	<-running
	for range b.N {
		var theirs, ours []float64
		for i := range n {
			o.inTx(b, func(tx pgx.Tx) error { return o.insertBare(ctx, tx, i) })
			start := time.Now()
			d := <-raw
			theirs = append(theirs, float64(time.Since(start).Microseconds()))
			if err := d.Ack(false); err != nil {
				b.Fatal(err)
			}
			o.inTx(b, func(tx pgx.Tx) error {
				_, err := parley.Publish(ctx, o.outbox.In(tx), w.event, payload(i))
				return err
			})
			start = time.Now()
			ours = append(ours, float64((<-arrived).Sub(start).Microseconds()))
		}
		reportLatency(b, theirs, ours)
	}
	stop()
	for range 3 {
		if err := <-ended; err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	}
}

func reportLatency(b *testing.B, theirs, ours []float64) {
	b.Helper()
	p := percentile
	b.Logf("raw p50 %.0f µs, p99 %.0f µs; parley p50 %.0f µs, p99 %.0f µs", p(theirs, .5), p(theirs, .99), p(ours, .5), p(ours, .99))
	b.ReportMetric(p(ours, .5)/p(theirs, .5), "ratio-p50")
	b.ReportMetric(p(ours, .99)/p(theirs, .99), "ratio-p99")
	b.ReportMetric(p(ours, .5), "µs-p50")
	b.ReportMetric(0, "ns/op")
}

// rawQueue declares a separate queue for the raw side.
func (w *bench) rawQueue(b *testing.B) string {
	b.Helper()
	q, err := w.raw.QueueDeclare(w.queue+".raw", true, true, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	return q.Name
}

// runParley runs a relay and a consumer; running is closed when both work.
func (w *bench) runParley(ctx context.Context, b *testing.B, o *outbox, arrived func(user), ended chan<- error) (running <-chan struct{}) {
	b.Helper()
	subscribed := make(chan struct{})
	r := parley.NewRouter()
	parley.On(r, w.event, func(_ context.Context, e parley.Event[user]) error {
		arrived(e.Payload)
		return nil
	})
	consumer, err := parley.NewConsumer(w.broker, r, &parley.ConsumerConfig{Queue: w.queue, Logger: quiet(),
		Hooks: parley.ConsumerHooks{Subscribed: func(up bool, _ error) {
			if up {
				close(subscribed)
			}
		}}})
	if err != nil {
		b.Fatal(err)
	}
	relay, err := parley.NewRelay(o.store, w.broker, &parley.RelayConfig{Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	go func() { ended <- consumer.Run(ctx) }()
	go func() { ended <- relay.Run(ctx) }()
	return subscribed
}

// bareRelay is a careful hand-written relay: wake up, read, publish with confirms, delete.
func (o *outbox) bareRelay(ctx context.Context, b *testing.B, w *bench) error {
	conn, err := pgx.Connect(ctx, o.pool.Config().ConnString())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ch := w.channel(b)
	if err := ch.Confirm(false); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN bare"); err != nil {
		return err
	}
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return w.bareBatch(ctx, tx, ch) }); err != nil {
			return err
		}
	}
}

// bareBatch sends up to 1,000 rows.
func (w *bench) bareBatch(ctx context.Context, tx pgx.Tx, ch *amqp.Channel) error {
	rows, err := tx.Query(ctx, "SELECT id, body FROM bare ORDER BY id LIMIT 1000 FOR UPDATE")
	if err != nil {
		return err
	}
	var ids []int64
	var flight []*amqp.DeferredConfirmation
	var id int64
	var body string
	_, err = pgx.ForEachRow(rows, []any{&id, &body}, func() error {
		c, err := ch.PublishWithDeferredConfirm("", w.queue+".raw", true, false, publishing(&parley.Message{Body: []byte(body)}))
		ids, flight = append(ids, id), append(flight, c)
		return err
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	for _, c := range flight {
		c.Wait()
	}
	_, err = tx.Exec(ctx, "DELETE FROM bare WHERE id = ANY($1)", ids)
	return err
}
