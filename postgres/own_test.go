package postgres_test

import (
	"context"
	"testing"

	"github.com/parley-go/parley"
)

// A session keeps the mode that it began with. A session from a read-only time must leave the pool, or the relay would wait indefinitely.
func TestARelayOverDatabaseSQLLeavesSessionsThatAreReadOnly(t *testing.T) {
	db, store := openSQL(t)
	readOnly := func(value string) {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback() // a no-op after the commit
		for _, statement := range []string{
			"SET TRANSACTION READ WRITE",
			`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = ` + value + `', current_database()); END $$`,
		} {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	readOnly("on")
	db.SetMaxIdleConns(-1) // the earlier sessions end
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	if err := claimOnce(t.Context(), store); err == nil {
		t.Fatal("a read-only session has locked rows for a relay")
	}
	readOnly("off")
	if err := claimOnce(t.Context(), store); err != nil {
		// readOnly itself used a session from the read-only time: the second claim gets another one.
		err = claimOnce(t.Context(), store)
		if err != nil {
			t.Errorf("the database is writable again, but the relay's session is not: %v", err)
		}
	}
	if n := db.Stats().InUse; n != 0 {
		t.Errorf("%d connections were not returned to the pool", n)
	}
}

func claimOnce(ctx context.Context, source parley.RelaySource) error {
	b, err := source.Claim(ctx, parley.ClaimOptions{Limit: 10, MaxBytes: 1 << 20})
	if err != nil {
		return err
	}
	return b.Release(ctx)
}
