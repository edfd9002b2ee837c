package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
)

var (
	_ parley.BlockerInspector = (*postgres.Store)(nil)
	_ parley.BlockerInspector = (*postgres.SQLStore)(nil)
	_ parley.BlockerInspector = (*postgres.DjangoStore)(nil)
)

// A logText is a log that can be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// runRelay runs a relay until the end of the test.
func runRelay(t *testing.T, source parley.RelaySource, hooks parley.RelayHooks) (*memory.Broker, *logText) {
	t.Helper()
	log := &logText{}
	broker := memory.NewBroker(nil)
	relay, err := parley.NewRelay(source, broker, &parley.RelayConfig{Hooks: hooks, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return broker, log
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(limit) {
			t.Fatalf("timed out waiting until %s", what)
		}
		<-tick.C
	}
}

// blocker opens a transaction of an application called "slow report".
func blocker(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	cfg := pool.Config().ConnConfig.Copy()
	cfg.RuntimeParams["application_name"] = "slow report"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func TestAnOpenCancellationDelaysNoOtherEvent(t *testing.T) {
	pool, store := openPgx(t)
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, tags := t.Context(), parley.Tags{"user": 7}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), photo, map[string]int{}, parley.WithDueAt(time.Now().Add(-time.Hour)), parley.WithTags(tags))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slow := blocker(t, pool)
	if n, err := parley.Cancel(ctx, outbox.In(slow), photo, tags); n != 1 || err != nil {
		t.Fatalf("cancelled %d (%v), want 1", n, err)
	}
	named := make(chan []parley.Blocker, 100)
	broker, log := runRelay(t, store, parley.RelayHooks{Blocked: func(b []parley.Blocker) { named <- b }})
	began := time.Now()
	if err := produceMany(ctx, pool, store, many); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the events of all others are published", func() bool { return len(broker.Published()) == many })
	t.Logf("the others took %v", time.Since(began))
	b := <-named
	if pid := int64(slow.Conn().PgConn().PID()); len(b) != 1 || b[0].Session != pid || b[0].Application != "slow report" || b[0].Records != 1 || b[0].Open <= 0 {
		t.Errorf("the blockers are %+v, want session %d of application %q with 1 record", b, pid, "slow report")
	}
	eventually(t, "the log names the session", func() bool { return strings.Contains(log.String(), `application_name="slow report"`) })
	if err := slow.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event whose cancellation was rolled back is published", func() bool { return len(broker.Published()) == many+1 })
}

// Another transaction has locked an event that is due at once: its place in the order is kept, and the relay reports the session.
func TestALockOnADueRecordIsReportedAndWaitedForBriefly(t *testing.T) {
	pool, store := openPgx(t)
	if err := produceMany(t.Context(), pool, store, 3); err != nil {
		t.Fatal(err)
	}
	for what, lock := range map[string]string{
		"a row":     "SELECT 1 FROM parley_outbox ORDER BY id OFFSET 1 LIMIT 1 FOR UPDATE",
		"the table": "LOCK TABLE parley_outbox",
	} {
		slow := blocker(t, pool)
		if _, err := slow.Exec(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		b, err := store.Claim(ctx, parley.ClaimOptions{Limit: 10})
		cancel()
		if err == nil {
			_ = b.Release(t.Context())
			t.Fatalf("%s is locked: claimed %d records, want an error, because the order must be kept", what, len(b.Records()))
		}
		if !strings.Contains(err.Error(), `application_name "slow report"`) {
			t.Errorf("%s is locked: the error does not name the session: %v", what, err)
		}
		if took := time.Since(began); testenv.Late(t, took, 20*time.Second) {
			t.Errorf("%s is locked: the claim waited for %v", what, took)
		}
		if err := slow.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b, err := store.Claim(t.Context(), parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(t.Context())
	if n := len(b.Records()); n != 3 {
		t.Errorf("claimed %d records, want all 3", n)
	}
}

// A transaction cancels two scheduled events one after the other, around the moment when they are due.
func TestARelayMakesNoTransactionTheVictimOfADeadlock(t *testing.T) {
	pool, store := openPgx(t)
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for n, late := range []time.Duration{time.Minute, 2 * time.Minute} {
			if _, err := parley.Publish(ctx, outbox.In(tx), photo, map[string]int{}, parley.WithDueAt(time.Now().Add(-late)), parley.WithTags(parley.Tags{"n": n})); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slow := blocker(t, pool)
	if n, err := parley.Cancel(ctx, outbox.In(slow), photo, parley.Tags{"n": 0}); n != 1 || err != nil {
		t.Fatalf("cancelled %d (%v), want 1", n, err)
	}
	broker, _ := runRelay(t, store, parley.RelayHooks{})
	eventually(t, "the other one is published", func() bool { return len(broker.Published()) == 1 })
	if n, err := parley.Cancel(ctx, outbox.In(slow), photo, parley.Tags{"n": 1}); n != 0 || err != nil {
		t.Errorf("the second cancellation of the transaction: %d, %v, want 0, because the event was published", n, err)
	}
	if err := slow.Commit(ctx); err != nil {
		t.Errorf("the transaction cannot commit: %v", err)
	}
}
