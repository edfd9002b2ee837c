package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/postgres"
)

func TestTablesInASchemaOfTheirOwn(t *testing.T) {
	ctx := t.Context()
	pool := newPool(t)
	store, err := postgres.New(pool, &postgres.Config{Schema: "Messages"})
	if err == nil {
		err = store.Migrate(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), parley.NewEvent[int]("numbers", "one"), 1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	broker := memory.NewBroker(nil)
	relay, err := parley.NewRelay(store, broker, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Drain(ctx); err != nil || len(broker.Published()) != 1 {
		t.Errorf("published %d (%v), want 1", len(broker.Published()), err)
	}
	status, err := store.MigrationStatus(ctx)
	if err != nil || len(status) == 0 || !status[0].Applied {
		t.Errorf("status %+v (%v)", status, err)
	}
	var tables string
	if err := pool.QueryRow(ctx, "SELECT string_agg(schemaname, ',') FROM pg_tables WHERE tablename LIKE 'parley%'").Scan(&tables); err != nil || strings.Contains(tables, "public") {
		t.Errorf("tables are in the schemas %s (%v)", tables, err)
	}
}

func TestMigratingIntoAnotherSchemaThanTheSearchPathIsRefused(t *testing.T) {
	db, _ := openSQL(t)
	store, err := postgres.NewSQL(db, &postgres.Config{Schema: "messages"})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "search_path=messages") {
		t.Errorf("got %v, want an error that names the fix", err)
	}
}

func TestNamesThatAreNoIdentifiersAreRefused(t *testing.T) {
	pool := newPool(t)
	for _, name := range []string{"a b", `a"b`, "a;b", "1a", strings.Repeat("a", 64), "a\x00"} {
		if _, err := postgres.New(pool, &postgres.Config{Schema: name}); err == nil {
			t.Errorf("schema %q is accepted", name)
		}
	}
}

func TestStoreOverPgx(t *testing.T) {
	t.Parallel() // mostly waits
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
	testenv.Long(t, "takes half a minute, and the same suite runs over pgx")
	t.Parallel() // mostly waits
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

// withoutCreate returns a pool on a fresh database whose sessions have the role of the statements, from the start of the session. The role
// may not create schemas.
func withoutCreate(t *testing.T, prepare ...string) *pgxpool.Pool {
	t.Helper()
	owner, _ := openPgx(t)
	role := strings.ReplaceAll(testenv.Unique(t, "parley_role"), "-", "_")
	for _, q := range append([]string{"CREATE ROLE " + role}, prepare...) {
		if _, err := owner.Exec(t.Context(), strings.ReplaceAll(q, "ROLE_NAME", role)); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	cfg := owner.Config()
	cfg.ConnConfig.RuntimeParams["role"] = role
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		for _, q := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
			if _, err := owner.Exec(context.WithoutCancel(t.Context()), q); err != nil {
				t.Error(err)
			}
		}
	})
	return pool
}

func TestMigrateInAnExistingSchemaNeedsNoRightToCreateSchemas(t *testing.T) {
	pool := withoutCreate(t, `CREATE SCHEMA "Messages"`, `GRANT USAGE, CREATE ON SCHEMA "Messages" TO ROLE_NAME`)
	store, err := postgres.New(pool, &postgres.Config{Schema: "Messages"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Stats(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMigrateNamesTheStatementForASchemaThatItMayNotCreate(t *testing.T) {
	store, err := postgres.New(withoutCreate(t), &postgres.Config{Schema: "Messages"})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), `CREATE SCHEMA "Messages" AUTHORIZATION`) {
		t.Errorf("the migration returns %v, want the statement that helps", err)
	}
}
