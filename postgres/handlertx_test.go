package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/postgres"
)

func TestOnceReturnsWhenTheServerFreezesUnderAFailingHandler(t *testing.T) {
	testenv.Long(t, "waits 20 seconds for a frozen server")
	u, err := url.Parse(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.Start(t, u.Host)
	u.Host = proxy.Addr()
	pool, err := pgxpool.New(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.New(pool, nil)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	fails := errors.New("the handler fails")
	done := make(chan error, 1)
	go func() {
		done <- store.Once(t.Context(), "c", "i", func(context.Context, pgx.Tx) error {
			proxy.Blackhole()
			return fails
		})
	}()
	select {
	case err := <-done:
		if !errors.Is(err, fails) {
			t.Errorf("got %v, want the handler's error", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Once still hangs in its rollback")
	}
	proxy.Cut()
	pool.Close()
}

func pgxWriters(pool *pgxpool.Pool, store *postgres.Store) []writer {
	insert := func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertSeen)
		return err
	}
	return append(storeWriters(store, store.Failures(), insert), writer{"a handler that keeps its error", func(ctx context.Context) error {
		return store.Once(ctx, "mail", "", func(ctx context.Context, tx pgx.Tx) error {
			if insert(ctx, tx) != nil {
				return errors.New("the customer cannot be stored")
			}
			return nil
		})
	}}, writer{"a producer in InTx", func(ctx context.Context) error { return produceIn(ctx, store) }})
}

func produceIn(ctx context.Context, store *postgres.Store) error {
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		return err
	}
	return store.InTx(ctx, func(tx pgx.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), photo, map[string]int{})
		return err
	})
}

func storeWriters[Tx any](inbox parley.InboxStore[Tx], f parley.FailureStore, insert func(context.Context, Tx) error) []writer {
	return []writer{
		{"a handler with an identity", func(ctx context.Context) error {
			err := inbox.Once(ctx, "mail", "id:1", func(context.Context, Tx) error { return nil })
			if errors.Is(err, parley.ErrDuplicate) {
				return nil
			}
			return err
		}},
		{"a handler without an identity", func(ctx context.Context) error { return inbox.Once(ctx, "mail", "", insert) }},
		{"a failed delivery", func(ctx context.Context) error {
			_, err := f.Keep(ctx, "mail", []parley.Failure{failed("x")})
			return err
		}},
	}
}

// After a failover a session may stay read-only for as long as it lives, which is an hour in a pool. A call that is refused
// removes the session from the pool, so that the next attempt gets another one.
func TestSessionsThatAreReadOnlyLeaveThePool(t *testing.T) {
	t.Run("pgx", func(t *testing.T) {
		owner, _ := openPgx(t)
		alter := func(value string) error {
			_, err := owner.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = `+value+`', current_database()); END $$`)
			return err
		}
		if _, err := owner.Exec(t.Context(), "CREATE TABLE seen (n int)"); err != nil {
			t.Fatal(err)
		}
		cfg := owner.Config()
		cfg.MaxConns = 1
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		store, err := postgres.New(pool, nil)
		if err != nil {
			t.Fatal(err)
		}
		leavesThePool(t, alter, pgxWriters(pool, store), pool.Reset)
	})
	t.Run("database/sql", func(t *testing.T) {
		owner, _ := openPgx(t)
		alter := func(value string) error {
			_, err := owner.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = `+value+`', current_database()); END $$`)
			return err
		}
		if _, err := owner.Exec(t.Context(), "CREATE TABLE seen (n int)"); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("pgx", owner.Config().ConnString())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		store, err := postgres.NewSQL(db, nil)
		if err != nil {
			t.Fatal(err)
		}
		insert := func(ctx context.Context, tx postgres.Tx) error {
			_, err := tx.ExecContext(ctx, insertSeen)
			return err
		}
		writers := append(storeWriters(store, store.Failures(), insert), writer{"a producer in InTx", func(ctx context.Context) error {
			return store.InTx(ctx, func(tx postgres.Tx) error { return insert(ctx, tx) })
		}})
		leavesThePool(t, alter, writers, func() {
			db.SetMaxIdleConns(-1) // the sessions end
			db.SetMaxIdleConns(1)
		})
		if n := db.Stats().InUse; n != 0 {
			t.Errorf("%d connections were not returned to the pool", n)
		}
	})
}

// leavesThePool runs each writer with the only session of a pool, which is read-only.
func leavesThePool(t *testing.T, alter func(value string) error, writers []writer, reset func()) {
	t.Helper()
	ctx := t.Context()
	for _, w := range writers {
		if err := alter("on"); err != nil {
			t.Fatal(err)
		}
		reset()
		if err := w.write(ctx); err == nil {
			t.Errorf("%s has written in a read-only session", w.name)
		}
		if err := alter("off"); err != nil {
			t.Fatal(err)
		}
		if err := w.write(ctx); err != nil {
			t.Errorf("%s: the database is writable again, but the session in the pool is not: %v", w.name, err)
		}
	}
}
