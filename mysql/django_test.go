package mysql_test

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

func TestDjangoTable(t *testing.T) {
	sqlstoretest.Django[mysql.Tx]{Open: openDjango, Vectors: "../postgres/testdata"}.Test(t)
}

func openDjango(t *testing.T, version string) (sqlstoretest.DjangoStore[mysql.Tx], *sql.DB, sqlstoretest.InTx[mysql.Tx]) {
	t.Helper()
	db, err := sql.Open("mysql", testenv.MariaDB(t)+"?time_zone=%27-05:00%27&parseTime=true")
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
	s, err := mysql.NewDjango(db, &mysql.DjangoConfig{AppID: "vec-service"})
	if err != nil {
		t.Fatal(err)
	}
	return s, db, func(ctx context.Context, fn func(tx mysql.Tx) error) error {
		return sqlstore.Retry(ctx, deadlock, func() error {
			return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		})
	}
}
