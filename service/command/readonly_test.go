package command

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
)

// diagnostics are the commands that promise to write nothing.
var diagnostics = [][]string{{"doctor"}, {"check"}, {"migrate", "status"}}

func TestDiagnosticCommandsCreateNoSQLiteFile(t *testing.T) {
	dir := t.TempDir()
	flag := "--database-url=sqlite:" + filepath.Join(dir, "typo.db")
	for _, args := range append(diagnostics, []string{"parked", "ls"}, []string{"scheduled", "ls"}, []string{"publish", "user", "renamed", "--payload={}"}) {
		code, out, errs := call(t, append(args, flag)...)
		if code == ExitOK {
			t.Errorf("%v on a missing file: exit code 0", args)
		}
		wantText(t, out+errs, "the file does not exist", "migrate up")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files were created (%v), want none", len(left), err)
	}
}

func TestDiagnosticCommandsDoNotChangeASQLiteFile(t *testing.T) {
	flag := sqliteURL(t)
	_, path, _ := strings.Cut(flag, "sqlite:")
	before := folder(t, filepath.Dir(path))
	for _, args := range diagnostics {
		mustCall(t, ExitOK, append(args, flag)...)
	}
	if after := folder(t, filepath.Dir(path)); after != before {
		t.Errorf("the folder has changed from\n%sto\n%s", before, after)
	}
}

func TestDiagnosticCommandsSeeWhatARunningServiceHasWritten(t *testing.T) {
	flag := sqliteURL(t)
	publish(t, openFlag(t, flag), renamed, 1) // the service stays open, so that the event is in the write-ahead log
	wantText(t, mustCall(t, ExitOK, "doctor", flag), "1 due")
}

// folder describes the files of a folder, and their content.
func folder(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", f.Name(), sha256.Sum256(data))
	}
	return b.String()
}

func tables(t *testing.T, address string) (n int) {
	t.Helper()
	asOwner(t, address, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").Scan(&n)
	})
	return n
}

func asOwner(t *testing.T, address string, do func(ctx context.Context, c *pgx.Conn) error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := do(ctx, c); err != nil {
		t.Error(err)
	}
}

// role returns a URL whose sessions have exactly these privileges.
func role(t *testing.T, address string, grants ...string) string {
	t.Helper()
	name := strings.ReplaceAll(testenv.Unique(t, "parley_role"), "-", "_")
	statements := []string{"CREATE ROLE " + name, "GRANT USAGE ON SCHEMA public TO " + name}
	for _, g := range grants {
		statements = append(statements, "GRANT "+g+" TO "+name)
	}
	asOwner(t, address, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, strings.Join(statements, ";"))
		return err
	})
	t.Cleanup(func() {
		asOwner(t, address, func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "DROP OWNED BY "+name+"; DROP ROLE "+name)
			return err
		})
	})
	return address + "&options=-c%20role%3D" + name
}

func TestDiagnosticCommandsNeedNoMoreThanSelect(t *testing.T) {
	address := testenv.Postgres(t)
	mustCall(t, ExitOK, "migrate", "up", "--database-url="+address)
	before := tables(t, address)
	reader := "--database-url=" + role(t, address, "SELECT ON ALL TABLES IN SCHEMA public")
	for _, args := range diagnostics {
		mustCall(t, ExitOK, append(args, reader)...)
	}
	if n := tables(t, address); n != before {
		t.Errorf("%d tables, want %d as before", n, before)
	}
}

func TestDoctorSaysWhatARoleOfARelayMayNotSee(t *testing.T) {
	address := testenv.Postgres(t)
	mustCall(t, ExitOK, "migrate", "up", "--database-url="+address)
	relay := "--database-url=" + role(t, address, "SELECT, DELETE, UPDATE ON parley_outbox", "INSERT ON parley_parked")
	out := mustCall(t, ExitOK, "doctor", relay)
	wantText(t, out, "cannot determine which migrations are applied", "cannot determine the state of the outbox", "GRANT SELECT ON parley_migrations")
}

func TestDoctorReportsNoProblemOfADjangoDatabaseWithoutParleysTables(t *testing.T) {
	address := testenv.Postgres(t)
	ddl, err := os.ReadFile("../../postgres/testdata/django-2.6.sql")
	if err != nil {
		t.Fatal(err)
	}
	asOwner(t, address, func(ctx context.Context, c *pgx.Conn) error { _, err := c.Exec(ctx, string(ddl)); return err })
	before := tables(t, address)
	out := mustCall(t, ExitOK, "doctor", "--database-url="+address, "--database-table=services_communication_publishedeventqueue")
	wantText(t, out, "a relay of a Django service does not need them")
	if n := tables(t, address); n != before {
		t.Errorf("%d relations in the database of the Django service, want %d as before", n, before)
	}
}
