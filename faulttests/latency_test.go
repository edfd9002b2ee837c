//go:build unix

package faulttests_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
)

// latency commits single events in turn, and returns the median and the 99th percentile of the time to their effect.
func (l *lab) latency(events int) (half, most time.Duration) {
	l.t.Helper()
	committed := map[int64]time.Time{}
	w := writer{l: l, group: 1, written: func(numbers []int64) { committed[numbers[0]] = time.Now() }}
	for range events {
		if err := w.write(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
		pass(5 * time.Millisecond)
	}
	l.handled()
	var late []time.Duration
	var number int64
	var at time.Time
	rows, err := l.pool.Query(l.t.Context(), "SELECT number, at FROM effects")
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&number, &at}, func() error {
			if begin, ok := committed[number]; ok {
				late = append(late, at.Sub(begin))
			}
			return nil
		})
	}
	if err != nil || len(late) != events {
		l.t.Fatalf("%d of %d events had their effect (%v)", len(late), events, err)
	}
	slices.Sort(late)
	half, most = late[len(late)/2], late[len(late)*99/100]
	l.t.Logf("latency of %d events: p50 %v, p99 %v", events, half, most)
	return half, most
}

// beside measures the latency, calls begin, and measures again.
func (l *lab) beside(events int, begin func()) {
	l.t.Helper()
	half, most := l.latency(500)
	begin()
	halfBeside, mostBeside := l.latency(events)
	if halfBeside > 2*half+10*time.Millisecond || mostBeside > 2*most+100*time.Millisecond {
		l.t.Errorf("latency p50 %v, p99 %v, before %v and %v", halfBeside, mostBeside, half, most)
	}
}

// A snapshot, writes in another database and a prepared transaction hold back the xmin horizon, which would delay a relay
// that reads by transaction id. parley's relay reads committed rows and deletes them.
func TestLongTransactionsOfOthersHoldUpNothing(t *testing.T) {
	needAll(t)
	s := privatePostgres(t)
	s.command = append(s.command, "-c", "max_prepared_transactions=2")
	s.signal(syscall.SIGINT)
	s.start()
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 1)
	relay := l.relay(l.database, l.broker, nil)
	stop := l.consume()
	ctx := t.Context()
	open := func(database string, statements ...string) {
		t.Helper()
		cfg, err := pgx.ParseConfig(l.database)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Database = database
		c, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(t.Context()) })
		for _, q := range statements {
			if _, err := c.Exec(ctx, q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	l.beside(1500, func() {
		open("postgres", "CREATE DATABASE other", "CREATE TABLE scratch (n int)")
		open("postgres", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM parley_outbox")
		open("other", "CREATE TABLE scratch (n int)", "BEGIN", "INSERT INTO scratch VALUES (1)")
		open("postgres", "BEGIN", "INSERT INTO scratch VALUES (1)", "PREPARE TRANSACTION 'forgotten'")
	})
	still := l.count("pg_stat_activity WHERE state = 'idle in transaction' AND xact_start < now() - interval '5 s'") + l.count("pg_prepared_xacts")
	if still != 3 {
		t.Errorf("%d long transactions were open all the time, want 3", still)
	}
	l.drained()
	stop()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	counts.add(t, f.row("long transactions: a snapshot, another database's, a prepared one", still))
}

// The relay's sessions planned their statements while the outbox was empty.
func TestAHundredThousandEventsOfNextYearHoldUpNothing(t *testing.T) {
	needAll(t)
	l := newLab(t, 1)
	relay := l.relay(l.database, l.broker, nil)
	stop := l.consume()
	const far = 100_000
	l.beside(1000, func() {
		_, err := l.pool.Exec(t.Context(), `INSERT INTO parley_outbox (exchange, routing_key, kind, body, properties, due_at)
SELECT $1, 'noted', 'event', '{"payload": {"number": 0}}', '{}', now() + interval '1 year' + n * interval '1 s' FROM generate_series(1, $2) n`, l.exchanges[0], far)
		if err != nil {
			t.Fatal(err)
		}
	})
	tag, err := l.pool.Exec(t.Context(), "DELETE FROM parley_outbox WHERE due_at > now() + interval '300 days'")
	if err != nil || tag.RowsAffected() != far {
		t.Errorf("%d events of next year remain (%v), want %d", tag.RowsAffected(), err, far)
	}
	l.drained()
	stop()
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	counts.add(t, f.row("beside 100,000 events of next year", far))
}
