package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
)

// As in package mysql: handlers may use all connections of the store; their leases must not expire because of that.
func TestFailuresWorkWhileHandlersOccupyAllConnections(t *testing.T) {
	url := testenv.Postgres(t)
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	relay, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.Close)
	plain, err := postgres.New(relay, nil)
	if err == nil {
		err = plain.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := postgres.New(pool, &postgres.Config{RelayPool: relay})
	if err != nil {
		t.Fatal(err)
	}
	err = s.InTx(t.Context(), func(pgx.Tx) error { // a handler that has the only connection
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := s.Failures().Renew(ctx, []parley.FailureClaim{{ID: 1, Number: 1, Consumer: "billing"}}, time.Minute)
		return err
	})
	if err != nil {
		t.Errorf("with a handler that has the only connection: %v", err)
	}
}

func TestSQLFailuresWorkWhileHandlersOccupyAllConnections(t *testing.T) {
	pool, _ := openPgx(t)
	db, relay := stdlib.OpenDBFromPool(pool), stdlib.OpenDBFromPool(pool)
	t.Cleanup(func() { _, _ = db.Close(), relay.Close() })
	db.SetMaxOpenConns(1)
	s, err := postgres.NewSQL(db, &postgres.Config{RelayDB: relay})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer handler.Rollback()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := s.Failures().Renew(ctx, []parley.FailureClaim{{ID: 1, Number: 1, Consumer: "billing"}}, time.Minute); err != nil {
		t.Errorf("with a handler that has the only connection: %v", err)
	}
}
