//go:build !race

package benchmarks_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
)

// commits returns how many transactions the writers commit in a round: PARLEY_BENCH_COMMITS. Default: 4,000.
func commits() int { return number("PARLEY_BENCH_COMMITS", 4000) }

// BenchmarkWriters has many writers that each record one event and commit, while a relay moves the records to RabbitMQ. The
// sides against it: as many writers of the same row into the same table without a trigger (Bare), the same beside a raw publisher
// (Bound, see writeWithPublisher), and Watermill's publisher with its forwarder at work. The log says how much each of them has
// moved: one that moves little leaves the processor to the writers. So NoRelay and WatermillNoForwarder have neither, and River
// inserts jobs without a worker, which leaves the cost of recording.
func BenchmarkWriters(b *testing.B) {
	n := commits()
	w, o := setUp(b), openOutbox(b)
	bare, jobs := openBareWriter(b, w, o), openRiver(b)
	wm := newWatermill(b, setUp(b), openOutbox(b))
	messages := w.messages(b, n)
	for _, writers := range []int{1, 4, 16, 64} {
		baseline := side{"bare insert", func(b *testing.B) int { return bare.write(b, n, writers) }}
		bound := side{"bare insert, raw publisher", func(b *testing.B) int { return w.writeWithPublisher(b, bare, messages, writers) }}
		alone := side{"parley publish", func(b *testing.B) int {
			o.write(b, n, writers, w.publishIn(b.Context(), o))
			o.empty(b, "parley_outbox")
			return n
		}}
		moved := side{"parley publish, relay", func(b *testing.B) int {
			return w.writeWithRelay(b, o.moved(b, w), n, writers, func() { o.write(b, n, writers, w.publishIn(b.Context(), o)) })
		}}
		inserted := side{"river insert", func(b *testing.B) int { return jobs.write(b, n, writers) }}
		wmAlone := side{"watermill publish", func(b *testing.B) int { return wm.writeAlone(b, n, writers) }}
		wmMoved := side{"watermill publish, forwarder", func(b *testing.B) int { return wm.writeWithForwarder(b, n, writers) }}
		for _, c := range []struct {
			name         string
			theirs, ours side
		}{
			{"Bare", baseline, moved}, {"Bound", bound, moved}, {"NoRelay", baseline, alone}, {"River", inserted, alone},
			{"Watermill", wmMoved, moved}, {"WatermillNoForwarder", wmAlone, alone},
		} {
			b.Run(fmt.Sprintf("%d/%s", writers, c.name), func(b *testing.B) {
				for range b.N {
					compare(b, c.theirs, c.ours)
				}
			})
		}
	}
}

// A bareWriter inserts the row that an event of w has into the same table in another database, whose trigger is disabled.
type bareWriter struct {
	*outbox
	row []any
}

// openBareWriter takes the row from o.
func openBareWriter(b *testing.B, w *bench, o *outbox) *bareWriter {
	b.Helper()
	bare := &bareWriter{outbox: openOutbox(b)}
	if _, err := bare.pool.Exec(b.Context(), "ALTER TABLE parley_outbox DISABLE TRIGGER parley_outbox_notify"); err != nil {
		b.Fatal(err)
	}
	o.inTx(b, func(tx pgx.Tx) error { return w.publishIn(b.Context(), o)(tx, 1) })
	var exchange, key, kind, body, properties string
	err := o.pool.QueryRow(b.Context(), "DELETE FROM parley_outbox RETURNING exchange, routing_key, kind, body, properties::text").
		Scan(&exchange, &key, &kind, &body, &properties)
	if err != nil {
		b.Fatal(err)
	}
	bare.row = []any{exchange, key, kind, body, properties}
	return bare
}

func (w *bareWriter) insert(tx pgx.Tx, _ int) error {
	_, err := tx.Exec(context.Background(),
		"INSERT INTO parley_outbox (exchange, routing_key, kind, body, properties) VALUES ($1, $2, $3, $4, $5::text::jsonb)", w.row...)
	return err
}

func (w *bareWriter) write(b *testing.B, n, writers int) int {
	b.Helper()
	w.outbox.write(b, n, writers, w.insert)
	w.empty(b, "parley_outbox")
	return n
}

// publishIn returns a function that publishes an event within tx.
func (w *bench) publishIn(ctx context.Context, o *outbox) func(tx pgx.Tx, i int) error {
	return func(tx pgx.Tx, i int) error {
		_, err := parley.Publish(ctx, o.outbox.In(tx), w.event, payload(i))
		return err
	}
}

// errWarm rolls back a transaction that has only prepared its statements.
var errWarm = errors.New("warm-up")

// write times n transactions of writers that each have a connection, outside the relay's pool. It calls each committed after a
// commit.
func (o *outbox) write(b *testing.B, n, writers int, insert func(tx pgx.Tx, i int) error, committed ...func()) {
	b.Helper()
	cfg := o.pool.Config()
	cfg.MaxConns = int32(writers) //nolint:gosec // at most 64
	pool := must(pgxpool.NewWithConfig(b.Context(), cfg))
	defer pool.Close()
	conns := make([]*pgxpool.Conn, writers)
	for i := range conns {
		conns[i] = must(pool.Acquire(b.Context()))
		err := pgx.BeginFunc(b.Context(), conns[i], func(tx pgx.Tx) error { return errors.Join(insert(tx, i), errWarm) })
		if err == nil || err.Error() != errWarm.Error() {
			b.Fatal(err)
		}
	}
	for _, c := range conns {
		c.Release()
	}
	timed(func() {
		var wg sync.WaitGroup
		var next atomic.Int64
		for range writers {
			wg.Go(func() {
				for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
					if err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error { return insert(tx, i) }); err != nil {
						b.Error(err)
						return
					}
					for _, f := range committed {
						f()
					}
				}
			})
		}
		wg.Wait()
	})
}

// empty truncates a table, so that all rounds begin alike.
func (o *outbox) empty(b *testing.B, table string) {
	b.Helper()
	if _, err := o.pool.Exec(b.Context(), "TRUNCATE "+table); err != nil {
		b.Fatal(err)
	}
}

// A movable is an outbox that a relay moves.
type movable struct {
	source  parley.RelaySource
	publish func(i int) error // records event i and commits
	left    func() (int, error)
	empty   func()
}

// moved returns o, with events of w.
func (o *outbox) moved(b *testing.B, w *bench) movable {
	return movable{
		source: o.store,
		publish: func(i int) error {
			return pgx.BeginFunc(b.Context(), o.pool, func(tx pgx.Tx) error { return w.publishIn(b.Context(), o)(tx, i) })
		},
		left: func() (n int, err error) {
			err = o.pool.QueryRow(b.Context(), "SELECT count(*) FROM parley_outbox").Scan(&n)
			return n, err
		},
		empty: func() { o.empty(b, "parley_outbox") },
	}
}

// writeWithRelay runs writers while a relay moves their records.
func (w *bench) writeWithRelay(b *testing.B, o movable, n, writers int, write func()) int {
	b.Helper()
	stop := w.startRelay(b, o)
	write()
	b.Logf("writers: %d; the relay had moved %d of %d records at the last commit", writers, stop(n), n)
	o.empty()
	return n
}

// startRelay runs a relay and returns when it has moved a record. stop returns how many messages are in the queue, stops the relay
// when there are n, and checks that it has left no record.
func (w *bench) startRelay(b *testing.B, o movable) (stop func(n int) (moved int)) {
	b.Helper()
	relay := must(parley.NewRelay(o.source, w.broker, &parley.RelayConfig{Logger: quiet()}))
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	if err := o.publish(0); err != nil {
		b.Fatal(err)
	}
	w.awaitQueue(b, 1)
	w.purge(b, 1)
	return func(n int) int {
		b.Helper()
		moved := w.queued(b)
		w.awaitQueue(b, n)
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
		w.purge(b, n)
		if left, err := o.left(); err != nil || left > 0 {
			b.Fatalf("the relay has left %d records: %v", left, err)
		}
		return moved
	}
}

func (w *bench) queued(b *testing.B) int {
	b.Helper()
	n, _, err := w.broker.QueueLen(b.Context(), w.queue)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// awaitQueue waits until n messages are in the queue.
func (w *bench) awaitQueue(b *testing.B, n int) {
	b.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for w.queued(b) < n {
		if time.Now().After(deadline) {
			b.Fatalf("%d messages have not reached the queue in 30 seconds", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// prepare creates Watermill's tables, and empties the one of the messages.
func (wm *watermillOutbox) prepare(b *testing.B) {
	b.Helper()
	wm.fill(b, 500)
	wm.o.empty(b, "watermill_"+forwarderTopic)
}

// writeAlone times writers with Watermill's publisher.
func (wm *watermillOutbox) writeAlone(b *testing.B, n, writers int) int {
	b.Helper()
	wm.prepare(b)
	wm.o.write(b, n, writers, func(tx pgx.Tx, i int) error { return wm.publishIn(b, tx, i) })
	wm.o.empty(b, "watermill_"+forwarderTopic)
	return n
}

// writeWithForwarder times writers with Watermill's publisher, while its forwarder moves their messages.
func (wm *watermillOutbox) writeWithForwarder(b *testing.B, n, writers int) int {
	b.Helper()
	wm.prepare(b)
	ended := make(chan error, 1)
	stop := wm.start(b, 10*time.Millisecond, ended)
	wm.o.inTx(b, func(tx pgx.Tx) error { return wm.publishIn(b, tx, 0) })
	wm.w.awaitQueue(b, 1)
	wm.w.purge(b, 1)
	wm.o.write(b, n, writers, func(tx pgx.Tx, i int) error { return wm.publishIn(b, tx, i) })
	b.Logf("writers: %d; the forwarder had moved %d of %d messages at the last commit", writers, wm.w.queued(b), n)
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if _, err := wm.w.raw.QueuePurge(wm.w.queue, false); err != nil {
		b.Fatal(err)
	}
	wm.o.empty(b, "watermill_"+forwarderTopic)
	return n
}
