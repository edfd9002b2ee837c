package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

func TestDjangoTable(t *testing.T) {
	sqlstoretest.Django[sqlite.Tx]{Open: openDjango, Vectors: "../postgres/testdata"}.Test(t)
}

// openDjango opens the file as Django does: no WAL, deferred transactions.
func openDjango(t *testing.T, version string) (sqlstoretest.DjangoStore[sqlite.Tx], *sql.DB, sqlstoretest.InTx[sqlite.Tx]) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "db.sqlite3")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ddl, err := os.ReadFile("testdata/django-" + version + ".sql")
	if err == nil {
		_, err = db.ExecContext(t.Context(), string(ddl))
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.NewDjango(db, &sqlite.DjangoConfig{AppID: "vec-service"})
	if err != nil {
		t.Fatal(err)
	}
	return s, db, func(ctx context.Context, fn func(tx sqlite.Tx) error) error {
		return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
	}
}
