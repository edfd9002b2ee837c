//go:build unix

package faulttests_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/rabbitmq"
)

// A relayUnderTest runs in this process.
type relayUnderTest struct {
	stop func()
	// errs counts the errors of the relay, accepted the accepted messages, batches the batches with at least one record.
	errs, accepted, batches, deletedElsewhere atomic.Int64
	disconnects                               atomic.Int64 // from the broker
	state                                     func() parley.RelayState
}

// quiet keeps the expected errors of a fault test out of its output.
var quiet = slog.New(slog.DiscardHandler)

// relay starts a relay from a database URL to a broker URL; change may be nil.
func (l *lab) relay(database, broker string, change func(*parley.RelayConfig, *rabbitmq.Config)) *relayUnderTest {
	l.t.Helper()
	return l.relayFrom(poolTo(l.t, database, nil), broker, change)
}

// poolTo returns a pool whose statements a tracer sees; it may be nil.
func poolTo(t *testing.T, database string, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// felt counts the faults that this relay detected.
func (r *relayUnderTest) felt() int64 { return r.errs.Load() + r.disconnects.Load() }

func (l *lab) relayFrom(pool *pgxpool.Pool, broker string, change func(*parley.RelayConfig, *rabbitmq.Config)) *relayUnderTest {
	l.t.Helper()
	store, err := postgres.New(pool, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	out := &relayUnderTest{}
	cfg := parley.RelayConfig{BatchSize: 200, PollInterval: 50 * time.Millisecond, StandbyInterval: 50 * time.Millisecond, Logger: quiet}
	cfg.Hooks = parley.RelayHooks{
		Err:              func(error) { out.errs.Add(1) },
		DeletedElsewhere: func(n int) { out.deletedElsewhere.Add(int64(n)) },
		Batch: func(b parley.BatchReport) {
			out.accepted.Add(int64(b.Accepted))
			out.batches.Add(1)
		},
	}
	mq := rabbitmq.Config{URL: broker, Logger: quiet}
	mq.Hooks.Disconnected = func(string, error) { out.disconnects.Add(1) }
	if change != nil {
		change(&cfg, &mq)
	}
	b, err := rabbitmq.New(&mq)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = b.Close(ctx) // its connection may be cut
	})
	r, err := parley.NewRelay(store, b, &cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	out.state = r.State
	out.stop = start(l.t, "relay", r)
	return out
}

func TestTwoRelaysOnOneOutboxLoseDoubleAndReorderNothing(t *testing.T) {
	l := newLab(t, 4)
	first, second := l.relay(l.database, l.broker, nil), l.relay(l.database, l.broker, nil)
	l.produce(10_000)
	l.drained()
	first.stop()
	second.stop()
	a, b := first.accepted.Load(), second.accepted.Load()
	t.Logf("the relays sent %d and %d events", a, b)
	f := l.judged()
	f.check(t, 0)
	if f.events < 10_000 || a+b != int64(f.events) {
		t.Errorf("%d events, %d of them sent by the relays, want all of at least 10,000", f.events, a+b)
	}
	if n := first.deletedElsewhere.Load() + second.deletedElsewhere.Load(); n != 0 {
		t.Errorf("the relays deleted %d records of each other", n)
	}
	counts.add(t, f.row("two relays on one outbox", 2))
}
