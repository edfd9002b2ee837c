package command

import (
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
