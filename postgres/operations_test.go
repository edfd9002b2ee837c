package postgres_test

import (
	"testing"

	"github.com/parley-go/parley/parleytest"
)

const emptyOperations = "TRUNCATE parley_failed, parley_log, parley_control"

func TestOperationsOverPgxKeepThePromises(t *testing.T) {
	pool, store := openPgx(t)
	parleytest.TestOperations(t, func(t *testing.T) parleytest.OperationsUnderTest {
		if _, err := pool.Exec(t.Context(), emptyOperations); err != nil {
			t.Fatal(err)
		}
		return parleytest.OperationsUnderTest{Failures: store.Failures(), Log: store, Control: store}
	})
}

func TestOperationsOverDatabaseSQLKeepThePromises(t *testing.T) {
	db, store := openSQL(t)
	parleytest.TestOperations(t, func(t *testing.T) parleytest.OperationsUnderTest {
		if _, err := db.ExecContext(t.Context(), emptyOperations); err != nil {
			t.Fatal(err)
		}
		return parleytest.OperationsUnderTest{Failures: store.Failures(), Log: store, Control: store}
	})
}
