package ormtest

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/sqlite"
)

// OnEachDatabase checks a recipe for *sql.Tx on SQLite, PostgreSQL and MariaDB. open gets the database and its name.
func OnEachDatabase(t *testing.T, open func(t *testing.T, name string, db *sql.DB, outbox *parley.Outbox[postgres.Tx]) Recipe[postgres.Tx]) {
	for _, d := range []struct {
		name  string
		store func(t *testing.T) (*sql.DB, parleytest.HandlerStore[postgres.Tx])
	}{{"sqlite", onSQLite}, {"postgres", onPostgres}, {"mysql", onMySQL}} {
		t.Run(d.name, func(t *testing.T) {
			db, store := d.store(t)
			Check(t, db, store, func(outbox *parley.Outbox[postgres.Tx]) Recipe[postgres.Tx] { return open(t, d.name, db, outbox) })
		})
	}
}

func onSQLite(t *testing.T) (*sql.DB, parleytest.HandlerStore[postgres.Tx]) {
	store := SQLite(t)
	return store.DB(), other[sqlite.Tx]{store, store, func(tx postgres.Tx) sqlite.Tx { return tx }, func(tx sqlite.Tx) postgres.Tx { return tx }}
}

// SQLite returns a store on a new file.
func SQLite(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(filepath.Join(t.TempDir(), "accounts.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

func onPostgres(t *testing.T) (*sql.DB, parleytest.HandlerStore[postgres.Tx]) {
	db, err := sql.Open("pgx", testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store, err := postgres.NewSQL(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db, store
}

func onMySQL(t *testing.T) (*sql.DB, parleytest.HandlerStore[postgres.Tx]) {
	store, err := mysql.Open(testenv.MariaDB(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store.DB(), other[mysql.Tx]{store, store, func(tx postgres.Tx) mysql.Tx { return tx }, func(tx mysql.Tx) postgres.Tx { return tx }}
}

// other is the store of another database with the transaction type of package postgres, so that one recipe is tested on all databases: the types
// have the same methods.
type other[Tx any] struct {
	parleytest.HandlerStore[Tx]
	parley.RelaySource
	to   func(postgres.Tx) Tx
	from func(Tx) postgres.Tx
}

func (o other[Tx]) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx postgres.Tx) error) error {
	return o.HandlerStore.Once(ctx, consumer, identity, func(ctx context.Context, tx Tx) error { return fn(ctx, o.from(tx)) })
}

func (o other[Tx]) Insert(ctx context.Context, tx postgres.Tx, records []parley.Record) error {
	return o.HandlerStore.Insert(ctx, o.to(tx), records)
}

func (o other[Tx]) Cancel(ctx context.Context, tx postgres.Tx, s parley.Selection) (int, error) {
	return o.HandlerStore.Cancel(ctx, o.to(tx), s)
}

func (o other[Tx]) Reschedule(ctx context.Context, tx postgres.Tx, s parley.Selection, due time.Time) (int, error) {
	return o.HandlerStore.Reschedule(ctx, o.to(tx), s, due)
}

func (o other[Tx]) Scheduled(ctx context.Context, tx postgres.Tx, s parley.Selection, limit int) ([]parley.Record, error) {
	return o.HandlerStore.Scheduled(ctx, o.to(tx), s, limit)
}
