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

// BenchmarkWriters has many writers that each record one event and commit, while a relay moves the records to RabbitMQ. The
// sides against it: as many writers of the same row into the same table without a trigger, and Watermill's publisher with its
// forwarder at work. The log says how much each of them has moved: one that moves little leaves the processor to the writers. So
// NoRelay and WatermillNoForwarder have neither, which leaves the cost of recording.
func BenchmarkWriters(b *testing.B) {
	const n = 4000
	w, o := setUp(b), openOutbox(b)
	bare := openBareWriter(b, w, o)
	wm := newWatermill(b, setUp(b), openOutbox(b))
	for _, writers := range []int{1, 4, 16, 64} {
		baseline := side{"bare insert", func(b *testing.B) int { return bare.write(b, n, writers) }}
		alone := side{"parley publish", func(b *testing.B) int {
			o.write(b, n, writers, w.publishIn(b.Context(), o))
			o.empty(b, "parley_outbox")
			return n
		}}
		moved := side{"parley publish, relay", func(b *testing.B) int { return w.writeWithRelay(b, o, n, writers) }}
		wmAlone := side{"watermill publish", func(b *testing.B) int { return wm.writeAlone(b, n, writers) }}
		wmMoved := side{"watermill publish, forwarder", func(b *testing.B) int { return wm.writeWithForwarder(b, n, writers) }}
		for _, c := range []struct {
			name         string
			theirs, ours side
		}{
			{"Bare", baseline, moved}, {"NoRelay", baseline, alone}, {"Watermill", wmMoved, moved}, {"WatermillNoForwarder", wmAlone, alone},
		} {
			b.Run(fmt.Sprintf("%d/%s", writers, c.name), func(b *testing.B) {
				for range b.N {
					compare(b, c.theirs, c.ours)
				}
			})
		}
	}
}

// BenchmarkCommitAtRate measures the commit of one event, and its whole transaction, at a steady rate, against a bare one. At
// 100 a second the relay looks for records between two commits; at 20 it sleeps, so that commits wake it.
// The metric asleep is the share of commits that began while it slept.
func BenchmarkCommitAtRate(b *testing.B) {
	for _, c := range []struct{ rate, n int }{{100, 300}, {20, 100}} {
		b.Run(fmt.Sprint(c.rate), func(b *testing.B) {
			w, o := setUp(b), openOutbox(b)
			bare := openBareWriter(b, w, o)
			watcher := must(pgx.Connect(b.Context(), o.pool.Config().ConnString()))
			b.Cleanup(func() { _ = watcher.Close(context.Background()) })
			pace := time.Second / time.Duration(c.rate)
			for range b.N {
				var theirs, ours commitTimes
				for round := range rounds() {
					them := func() { bare.commits(b, &theirs, c.n, pace, watcher, bare.insert) }
					us := func() {
						stop := w.startRelay(b, o)
						o.commits(b, &ours, c.n, pace, watcher, w.publishIn(b.Context(), o))
						stop(c.n)
					}
					if round%2 == 0 {
						them()
						us()
					} else {
						us()
						them()
					}
				}
				theirs.log(b, "bare")
				ours.log(b, "parley")
				reportLatency(b, theirs.commit, ours.commit)
				b.ReportMetric(float64(ours.asleep)/float64(len(ours.commit)), "asleep")
			}
		})
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

// write times n transactions of writers that each have a connection, outside the relay's pool.
func (o *outbox) write(b *testing.B, n, writers int, insert func(tx pgx.Tx, i int) error) {
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

// writeWithRelay times the writers while a relay moves their records.
func (w *bench) writeWithRelay(b *testing.B, o *outbox, n, writers int) int {
	b.Helper()
	stop := w.startRelay(b, o)
	o.write(b, n, writers, w.publishIn(b.Context(), o))
	b.Logf("writers: %d; the relay had moved %d of %d records at the last commit", writers, stop(n), n)
	o.empty(b, "parley_outbox")
	return n
}

// startRelay runs a relay and returns when it has moved a record. stop returns how many messages are in the queue, stops the relay
// when there are n, and checks that it has left no record.
func (w *bench) startRelay(b *testing.B, o *outbox) (stop func(n int) (moved int)) {
	b.Helper()
	relay := must(parley.NewRelay(o.store, w.broker, &parley.RelayConfig{Logger: quiet()}))
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	o.inTx(b, func(tx pgx.Tx) error { return w.publishIn(b.Context(), o)(tx, 0) })
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
		left := 0
		if err := o.pool.QueryRow(b.Context(), "SELECT count(*) FROM parley_outbox").Scan(&left); err != nil || left > 0 {
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

// commitTimes are durations in microseconds.
type commitTimes struct {
	commit, transaction []float64
	p50, p99            []float64 // of the commits of each round
	asleep              int       // commits that began while a relay slept
}

func (t *commitTimes) log(b *testing.B, name string) {
	b.Helper()
	b.Logf("%s: commit p50 %s µs, p99 %s µs over the rounds; transaction p50 %.0f µs, p99 %.0f µs; %d of %d while a relay slept", name,
		spread(t.p50, 0), spread(t.p99, 0), percentile(t.transaction, .5), percentile(t.transaction, .99), t.asleep, len(t.commit))
}

// commits runs n transactions on one connection, one per pace, and adds their times to t.
func (o *outbox) commits(b *testing.B, t *commitTimes, n int, pace time.Duration, watcher *pgx.Conn, insert func(tx pgx.Tx, i int) error) {
	b.Helper()
	conn := must(pgx.Connect(b.Context(), o.pool.Config().ConnString()))
	defer conn.Close(context.Background())
	tick := time.NewTicker(pace)
	defer tick.Stop()
	first := len(t.commit)
	for i := range n + 10 { // the first ten prepare the statements
		<-tick.C
		slept := relaySleeps(b, watcher)
		start := time.Now()
		tx, err := conn.Begin(b.Context())
		if err == nil {
			err = insert(tx, i)
		}
		if err != nil {
			b.Fatal(err)
		}
		if i < 10 {
			if err := tx.Rollback(b.Context()); err != nil {
				b.Fatal(err)
			}
			continue
		}
		committing := time.Now()
		if err := tx.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		t.commit, t.transaction = append(t.commit, micros(time.Since(committing))), append(t.transaction, micros(time.Since(start)))
		if slept {
			t.asleep++
		}
	}
	t.p50, t.p99 = append(t.p50, percentile(t.commit[first:], .5)), append(t.p99, percentile(t.commit[first:], .99))
}

// relaySleeps reports whether a relay sleeps in the database of c: the lock is that of the trigger parley_outbox_notify.
func relaySleeps(b *testing.B, c *pgx.Conn) (sleeps bool) {
	b.Helper()
	err := c.QueryRow(b.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 1885434476
		AND mode = 'ExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&sleeps)
	if err != nil {
		b.Fatal(err)
	}
	return sleeps
}
