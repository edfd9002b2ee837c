package postgres_test

import (
	"context"
	"database/sql"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/postgres"
)

var (
	_ parley.RelayWaker             = (*postgres.Store)(nil)
	_ parleytest.Store[pgx.Tx]      = (*postgres.Store)(nil)
	_ parleytest.Store[postgres.Tx] = (*postgres.SQLStore)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoreOverPgx(t *testing.T) {
	parleytest.TestStore(t, func(t *testing.T) parleytest.StoreUnderTest[pgx.Tx] {
		pool, store := openPgx(t)
		return parleytest.StoreUnderTest[pgx.Tx]{
			Store:    store,
			Begin:    func(ctx context.Context) (pgx.Tx, error) { return pool.Begin(ctx) },
			Commit:   func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
			Rollback: func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) },
		}
	})
}

func TestStoreOverDatabaseSQL(t *testing.T) {
	parleytest.TestStore(t, func(t *testing.T) parleytest.StoreUnderTest[postgres.Tx] {
		db, store := openSQL(t)
		return parleytest.StoreUnderTest[postgres.Tx]{
			Store:    store,
			Begin:    func(ctx context.Context) (postgres.Tx, error) { return db.BeginTx(ctx, nil) },
			Commit:   func(_ context.Context, tx postgres.Tx) error { return tx.Commit() },
			Rollback: func(_ context.Context, tx postgres.Tx) error { return tx.Rollback() },
		}
	})
}

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

func TestAPoolIsNoTransaction(t *testing.T) {
	for transaction, outside := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[pgx.Tx]():      reflect.TypeFor[*pgxpool.Pool](),
		reflect.TypeFor[postgres.Tx](): reflect.TypeFor[*sql.DB](),
	} {
		if outside.Implements(transaction) {
			t.Errorf("outbox.In accepts a %v where it needs a %v", outside, transaction)
		}
	}
	if tx := reflect.TypeFor[*sql.Tx](); !tx.Implements(reflect.TypeFor[postgres.Tx]()) {
		t.Errorf("outbox.In does not accept a %v", tx)
	}
}
