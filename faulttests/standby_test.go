//go:build unix

package faulttests_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	operator "github.com/parley-go/parley/service/command"
	"github.com/parley-go/parley/service/settings"
)

// standby starts a streaming replica of a private PostgreSQL.
func (primary *server) standby() *server {
	t := primary.t
	t.Helper()
	s := newServer(t, "PostgreSQL standby", "postgres")
	data := filepath.Join(s.dir, "data")
	s.run(executable(t, "/usr/lib/postgresql/*/bin/pg_basebackup"), "--host=127.0.0.1", "--port="+strconv.Itoa(primary.port), "--username=postgres",
		"--pgdata="+data, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	s.command = []string{
		executable(t, "/usr/lib/postgresql/*/bin/postgres"), "-D", data, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir,
	}
	s.url = strings.Replace(primary.url, ":"+strconv.Itoa(primary.port)+"/", ":"+strconv.Itoa(s.port)+"/", 1)
	s.login = primary.login
	t.Cleanup(s.end)
	s.start()
	return s
}

// serviceOn opens a service on a database.
func serviceOn(t *testing.T, address string) *service.Service {
	t.Helper()
	loaded, err := settings.Load(&settings.LoadOptions{Environ: []string{"PARLEY_APP_ID=faults", "PARLEY_DATABASE_URL=" + address}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Open(loaded, &service.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// hideVariable hides the variable of these tests from the commands, which would take it for a setting.
func hideVariable(t *testing.T) {
	t.Helper()
	t.Setenv(faultsVariable, "") // restores it afterwards
	if err := os.Unsetenv(faultsVariable); err != nil {
		t.Fatal(err)
	}
}

// operate runs an operator's command and returns its exit code and output.
func operate(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var text bytes.Buffer
	root := operator.New("faults", func(*service.Service) error { return nil })
	root.SetOut(&text)
	root.SetErr(&text)
	code = operator.Execute(t.Context(), root, args)
	return code, text.String()
}

// saysReadOnly checks the three places that report a database.
func saysReadOnly(t *testing.T, address string) {
	t.Helper()
	if err := serviceOn(t, address).Database().Ping(t.Context()); !errors.Is(err, service.ErrReadOnly) || !strings.Contains(err.Error(), "read-only standby") {
		t.Errorf("the ping behind /readyz returns %v, want the read-only standby", err)
	}
	for _, name := range []string{"doctor", "check"} {
		code, out := operate(t, name, "--database-url="+address)
		if code != operator.ExitFailed || !strings.Contains(out, "the database is a read-only standby") {
			t.Errorf("%s ends with %d and does not name the standby:\n%s", name, code, out)
		}
		if strings.Contains(out, "pooler") {
			t.Errorf("%s names a pooler:\n%s", name, out)
		}
	}
}

func TestAStandbyOfPostgreSQLIsReportedAndAvoided(t *testing.T) {
	needAll(t)
	hideVariable(t)
	primary := privatePostgres(t)
	if err := serviceOn(t, primary.url).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	standby := primary.standby()
	eventually(t, "the standby has the tables", func() bool {
		conn, err := pgx.Connect(t.Context(), standby.url)
		if err != nil {
			return false
		}
		defer conn.Close(context.Background())
		var n int
		return conn.QueryRow(t.Context(), "SELECT count(*) FROM parley_failed").Scan(&n) == nil
	})
	saysReadOnly(t, standby.url)
	// Several hosts: the one that accepts writes is used, whatever its place.
	both := strings.Replace(primary.url, fmt.Sprintf("127.0.0.1:%d", primary.port), fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", standby.port, primary.port), 1)
	if err := serviceOn(t, both).Database().Ping(t.Context()); err != nil {
		t.Errorf("a URL with both hosts is not on the primary: %v", err)
	}
}

// MariaDB's read_only does not bind accounts with the privilege READ ONLY ADMIN.
func TestAReadOnlyMariaDBIsReportedAndNothingIsPublishedFromIt(t *testing.T) {
	needAll(t)
	hideVariable(t)
	server := privateMariaDB(t)
	admin, err := sql.Open("mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/faults", server.port))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	exec := func(q string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec("CREATE USER app@'127.0.0.1' IDENTIFIED BY '" + canary + "'")
	exec("GRANT SELECT, INSERT, UPDATE, DELETE ON faults.* TO app@'127.0.0.1'")
	if err := serviceOn(t, server.url).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	app := strings.Replace(server.url, "//faults:", "//app:", 1)
	s := serviceOn(t, app)
	write := func() error {
		return s.InTx(t.Context(), func(tx *service.Tx) error {
			_, err := tx.SQL.ExecContext(t.Context(), "INSERT INTO parley_inbox (consumer, identity, digest, seen_at) VALUES ('a', UUID(), UNHEX(SHA2(UUID(), 256)), UTC_TIMESTAMP(6))")
			return err
		})
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	exec("INSERT INTO faults.parley_outbox (exchange, routing_key, kind, body, properties, created_at) VALUES ('x', 'k', 'event', '{}', '{}', UTC_TIMESTAMP(6))")
	exec("SET GLOBAL read_only = 1")
	saysReadOnly(t, app)
	if err := write(); err == nil {
		t.Error("a read-only server was written")
	}
	claim := func() error {
		b, err := s.Database().Claim(t.Context(), parley.ClaimOptions{Limit: 10, MaxBytes: 1 << 20})
		if err != nil {
			return err
		}
		return b.Release(t.Context())
	}
	if err := claim(); err == nil {
		t.Error("a relay may publish from a read-only server")
	}
	exec("SET GLOBAL read_only = 0")
	if err := errors.Join(write(), claim()); err != nil {
		t.Errorf("the server is writable again: %v", err)
	}
}
