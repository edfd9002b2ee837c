package command

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestMigrateStatusExitsWith1UntilTheTablesAreThere(t *testing.T) {
	flag := "--database-url=sqlite:" + servicetest.WriteFile(t, "test.db", "") // an empty file is an empty database
	wantText(t, mustCall(t, ExitFailed, "migrate", "status", flag), "pending")
	mustCall(t, ExitOK, "migrate", "up", flag)
	wantText(t, mustCall(t, ExitOK, "migrate", "status", flag), "applied")
	wantText(t, mustCall(t, ExitOK, "migrate", "sql", flag), "CREATE TABLE parley_outbox")
	wantText(t, mustCall(t, ExitOK, "migrate", "sql", "--dialect=postgres"), "parley_outbox")
	mustCall(t, ExitUsage, "migrate", "sql", "--dialect=oracle")
}

func TestMigrateStatusCreatesNoTableOnAnyServer(t *testing.T) {
	address := testenv.Postgres(t)
	for _, flag := range []string{"--database-url=" + address, "--database-url=" + servicetest.MySQLURL(t, testenv.MariaDB(t))} {
		wantText(t, mustCall(t, ExitFailed, "migrate", "status", flag), "pending", "migrate up")
		wantText(t, mustCall(t, ExitFailed, "doctor", flag), "migrations are not applied")
		if strings.Contains(flag, "postgres") {
			if n := tables(t, address); n != 0 {
				t.Errorf("%d tables were created, want none", n)
			}
		}
		mustCall(t, ExitOK, "migrate", "up", flag)
		if out := mustCall(t, ExitOK, "migrate", "status", flag); strings.Contains(out, "pending") {
			t.Errorf("after migrate up:\n%s", out)
		}
	}
}

func TestMigrateSQLPrintsWhatMigrateUpDoesWithTheseSettings(t *testing.T) {
	const inMySQL = `SELECT CONCAT_WS(' ', table_name, column_name, column_type, is_nullable, column_default) FROM information_schema.columns WHERE table_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', table_name, index_name, seq_in_index, column_name, non_unique) FROM information_schema.statistics WHERE table_schema = DATABASE() ORDER BY 1`
	const inPostgres = `SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) FROM information_schema.columns WHERE table_schema = 'orders'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'orders'
		UNION ALL SELECT concat_ws(' ', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'orders' ORDER BY 1`
	const inSQLite = `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name`
	for _, tt := range []struct {
		driver, list string
		flags        []string
		database     func() (dsn, url string)
	}{
		{"pgx", inPostgres, []string{"--database-schema=orders", "--consumer-failures-table=orders_Failed", "--database-poll-only"}, func() (string, string) {
			dsn := testenv.Postgres(t)
			return dsn, dsn
		}},
		{"pgx", inPostgres, []string{"--database-schema=orders"}, func() (string, string) {
			dsn := testenv.Postgres(t)
			return dsn, dsn
		}},
		{"mysql", inMySQL, []string{"--consumer-failures-table=orders_failed"}, func() (string, string) {
			dsn := testenv.MariaDB(t)
			return dsn + "?multiStatements=true", servicetest.MySQLURL(t, dsn)
		}},
		{"sqlite", inSQLite, []string{"--consumer-failures-table=orders_failed"}, func() (string, string) {
			path := filepath.Join(t.TempDir(), "x.db")
			return path, "sqlite:" + path
		}},
	} {
		upDSN, url := tt.database()
		mustCall(t, ExitOK, append([]string{"migrate", "up", "--database-url=" + url}, tt.flags...)...)
		dsn, url := tt.database()
		byHand := append([]string{"--database-url=" + url}, tt.flags...)
		execute(t, tt.driver, dsn, mustCall(t, ExitOK, append([]string{"migrate", "sql"}, byHand...)...))
		if _, out, _ := call(t, append([]string{"migrate", "status"}, byHand...)...); strings.Contains(out, "pending") {
			t.Errorf("%s %v: migrations are pending after the statements of migrate sql:\n%s", tt.driver, tt.flags, out)
		}
		if got, want := listed(t, tt.driver, dsn, tt.list), listed(t, tt.driver, upDSN, tt.list); got != want || got == "" {
			t.Errorf("%s %v: migrate sql makes\n%s\nwant, as by migrate up,\n%s", tt.driver, tt.flags, got, want)
		}
	}
	wantText(t, mustCall(t, ExitUsage, "migrate", "sql", "--dialect=sqlite", "--database-schema=orders"), "database.schema")
	wantText(t, mustCall(t, ExitUsage, "migrate", "sql", "--dialect=mysql", "--consumer-failures-table=parley_outbox"), "another table of parley")
}

// execute runs statements on a database.
func execute(t *testing.T, driver, dsn, statements string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatalf("%s: %v", driver, err)
	}
}

// listed returns the lines that a query finds.
func listed(t *testing.T, driver, dsn, query string) string {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		b.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
