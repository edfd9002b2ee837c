package postgres_test

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/postgres"
	"go.uber.org/goleak"
)

var (
	_ parley.RelayWaker             = (*postgres.Store)(nil)
	_ parleytest.Store[pgx.Tx]      = (*postgres.Store)(nil)
	_ parleytest.Store[postgres.Tx] = (*postgres.SQLStore)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.PgxCloses()) }

// openPgx returns a migrated store on a database of its own.
func openPgx(t testing.TB) (*pgxpool.Pool, *postgres.Store) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store, err := postgres.New(pool, nil)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return pool, store
}

func openSQL(t testing.TB) (*sql.DB, *postgres.SQLStore) {
	t.Helper()
	db, err := sql.Open("pgx", testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := postgres.NewSQL(db, nil)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return db, store
}
