package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
)

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestProcessesThatMigrateAtOnceDoNotCollide(t *testing.T) {
	for name, cfg := range map[string]*postgres.Config{"direct": nil, "for a pooler": {PollOnly: true}} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t)
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					store, err := postgres.New(pool, cfg)
					if err == nil {
						err = store.Migrate(t.Context())
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}

// Behind a transaction pooler the unlock statement of a session lock runs in another session: the lock would stay, and the next
// migration would wait for it.
func TestMigrateWithPollOnlyHoldsItsLockInATransaction(t *testing.T) {
	pool := newPool(t)
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	store, err := postgres.NewSQL(db, &postgres.Config{PollOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	hold, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback(context.Background())
	if _, err := hold.Exec(t.Context(), "CREATE TABLE parley_outbox ()"); err != nil { // the first migration waits for its end
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- store.Migrate(t.Context()) }()
	until(t, "a migration holds its lock in a transaction", func() bool {
		var held bool
		const q = "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted" +
			" AND a.datname = current_database() AND a.state = 'idle in transaction' AND a.query LIKE '%pg_advisory_xact_lock%')"
		if err := pool.QueryRow(t.Context(), q).Scan(&held); err != nil {
			t.Fatal(err)
		}
		return held
	})
	if err := errors.Join(hold.Rollback(t.Context()), <-done); err != nil {
		t.Fatal(err)
	}
	if n := pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are in use after the migration", n)
	}
}

func TestMigrateWithPollOnlyNeedsASecondConnection(t *testing.T) {
	db := stdlib.OpenDBFromPool(newPool(t))
	defer db.Close()
	db.SetMaxOpenConns(1)
	store, err := postgres.NewSQL(db, &postgres.Config{PollOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "SetMaxOpenConns") {
		t.Errorf("Migrate with one connection returned %v, want an error that says what to do", err)
	}
}
