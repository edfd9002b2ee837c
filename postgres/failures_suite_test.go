package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/postgres"
)

// The subtests share a database: creating one takes longer than most of them.
const emptyTables = "TRUNCATE parley_failed, parley_inbox"

func TestFailuresOverPgxKeepThePromises(t *testing.T) {
	t.Parallel() // mostly waits
	pool, store := openPgx(t)
	parleytest.TestFailures(t, func(t *testing.T) parleytest.FailuresUnderTest[pgx.Tx] {
		if _, err := pool.Exec(t.Context(), emptyTables); err != nil {
			t.Fatal(err)
		}
		return parleytest.FailuresUnderTest[pgx.Tx]{
			Failures: store.Failures(), Inbox: store, Begin: pool.Begin, Rows: parley.FailureStatsCap + 2000,
			Commit:   func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
			Rollback: func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) },
		}
	})
}

func TestFailuresOverDatabaseSQLKeepThePromises(t *testing.T) {
	testenv.Long(t, "takes 15 seconds, and the same suite runs over pgx")
	t.Parallel() // mostly waits
	db, store := openSQL(t)
	parleytest.TestFailures(t, func(t *testing.T) parleytest.FailuresUnderTest[postgres.Tx] {
		if _, err := db.ExecContext(t.Context(), emptyTables); err != nil {
			t.Fatal(err)
		}
		return parleytest.FailuresUnderTest[postgres.Tx]{
			Failures: store.Failures(), Inbox: store,
			Begin:    func(ctx context.Context) (postgres.Tx, error) { return db.BeginTx(ctx, nil) },
			Commit:   func(_ context.Context, tx postgres.Tx) error { return tx.Commit() },
			Rollback: func(_ context.Context, tx postgres.Tx) error { return tx.Rollback() },
		}
	})
}
