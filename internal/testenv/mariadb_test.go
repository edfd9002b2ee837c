package testenv_test

import (
	"database/sql"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

func TestMariaDBGivesEachTestADatabaseOfItsOwnAndDropsIt(t *testing.T) {
	admin := openMariaDB(t)
	var names []string
	for _, table := range []string{"first", "second"} {
		t.Run(table, func(t *testing.T) {
			db := openMariaDB(t)
			var name string
			if err := db.QueryRowContext(t.Context(), "select database()").Scan(&name); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
			if _, err := db.ExecContext(t.Context(), "create table same_name (id int)"); err != nil {
				t.Errorf("the database is not fresh: %v", err)
			}
		})
	}
	if len(names) != 2 || names[0] == names[1] {
		t.Fatalf("databases %q, want two different ones", names)
	}
	var left int
	row := admin.QueryRowContext(t.Context(), "select count(*) from information_schema.schemata where schema_name in (?, ?)", names[0], names[1])
	if err := row.Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d of the databases %q are still there after their tests", left, names)
	}
}

func openMariaDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", testenv.MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
