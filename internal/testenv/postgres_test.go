package testenv_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/parley-go/parley/internal/testenv"
)

func TestPostgresGivesEachTestADatabaseOfItsOwnAndDropsIt(t *testing.T) {
	admin, err := pgx.Connect(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())

	var names []string
	for _, table := range []string{"first", "second"} {
		t.Run(table, func(t *testing.T) {
			conn, err := pgx.Connect(t.Context(), testenv.Postgres(t))
			if err != nil {
				t.Fatal(err)
			}
			// Left open on purpose: the drop must not wait for this connection.
			names = append(names, conn.Config().Database)
			if _, err := conn.Exec(t.Context(), "create table same_name (id int)"); err != nil {
				t.Errorf("the database is not fresh: %v", err)
			}
		})
	}
	if len(names) != 2 || names[0] == names[1] {
		t.Fatalf("databases %q, want two different ones", names)
	}
	var left int
	if err := admin.QueryRow(t.Context(), "select count(*) from pg_database where datname = any($1)", names).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d of the databases %q are still there after their tests", left, names)
	}
}
