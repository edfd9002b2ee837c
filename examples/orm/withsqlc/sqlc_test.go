package withsqlc

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/examples/orm/ormtest"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.PgxCloses()) }

func TestEventsArePublishedAndHandledWithSqlcOnPgx(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDBFromPool(pool)
	t.Cleanup(func() { db.Close() })
	ormtest.Check(t, db, store, func(outbox *parley.Outbox[pgx.Tx]) ormtest.Recipe[pgx.Tx] { return &Service{pool, outbox} })
}

func TestEventsArePublishedAndHandledWithSqlcOnDatabaseSQL(t *testing.T) {
	store := ormtest.SQLite(t)
	ormtest.Check(t, store.DB(), store, func(outbox *parley.Outbox[sqlite.Tx]) ormtest.Recipe[sqlite.Tx] { return &SQLService{store, outbox} })
}
