//go:build unix

package faulttests_test

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

// pooled starts a pgbouncer in transaction mode for the lab's database, with fewer sessions than clients, and
// returns its URL.
func (l *lab) pooled() string {
	t := l.t
	t.Helper()
	pgbouncer, err := exec.LookPath("pgbouncer")
	if err != nil {
		if pgbouncer, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			testenv.Skip(t, "PATH", "needs pgbouncer (Debian: apt-get install pgbouncer)")
		}
	}
	direct, err := pgx.ParseConfig(l.database)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "pgbouncer", "postgres")
	s.write("pgbouncer.ini", fmt.Sprintf(`[databases]
%s = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
%s
`, direct.Database, direct.Host, direct.Port, direct.User, cmp.Or(direct.Password, canary), s.port, poolerSessions, forgetful(t, pgbouncer)))
	s.command = []string{pgbouncer, filepath.Join(s.dir, "pgbouncer.ini")}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(direct.User, canary), Host: "127.0.0.1:" + strconv.Itoa(s.port),
		Path: "/" + direct.Database, RawQuery: "sslmode=disable",
	}
	s.url = u.String()
	s.login = func(ctx context.Context, url string) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	t.Cleanup(s.end)
	s.start()
	return s.url
}

const poolerSessions = 5

// forgetful returns the setting with which pgbouncer loses prepared statements. Since 1.21 it can keep them, since 1.24 it does
// so by default; earlier versions do not know the setting.
func forgetful(t *testing.T, pgbouncer string) string {
	t.Helper()
	out, err := exec.Command(pgbouncer, "--version").Output()
	var major, minor int
	if err == nil {
		_, err = fmt.Sscanf(string(out), "PgBouncer %d.%d", &major, &minor)
	}
	if err != nil {
		t.Fatalf("read the version of pgbouncer: %v", err)
	}
	if major == 1 && minor < 21 {
		return ""
	}
	return "max_prepared_statements = 0"
}

// unprepared counts the statements that fail because another session prepared them, as happens to clients with prepared
// statements behind the pooler.
func unprepared(t *testing.T, address string) int {
	t.Helper()
	pool := poolTo(t, address, nil)
	var failed atomic.Int64
	var clients sync.WaitGroup
	for range 2 * poolerSessions {
		clients.Go(func() {
			for range 20 {
				var n int
				if err := pool.QueryRow(t.Context(), "SELECT $1::int FROM pg_sleep(0.001)", 1).Scan(&n); err != nil && strings.Contains(err.Error(), "prepared statement") {
					failed.Add(1)
				}
			}
		})
	}
	clients.Wait()
	return int(failed.Load())
}

// A service with database.poll_only uses no prepared statements, no LISTEN and no session locks.
func TestAProducerAndARelayBehindATransactionPoolerLoseNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	l := newLab(t, 4)
	address := l.pooled()
	l.inTx = throughService(t, address)
	s := l.child("relay")
	s.Database, s.Settings = address, []string{"PARLEY_DATABASE_POLL_ONLY=true"}
	relay := spawn(t, s)
	relay.works()
	felt := 0
	eventually(t, "the pooler loses prepared statements", func() bool { felt += unprepared(t, address); return felt > 0 })
	undone := l.unruly(3 * time.Second)
	l.drained()
	if n := relay.complaints(); n > 0 {
		t.Errorf("the relay logged %d warnings or errors", n)
	}
	relay.stop()
	f := l.judged()
	f.check(t, 0)
	t.Logf("%d transactions did not commit", undone)
	counts.add(t, f.row("prepared statements lost by pgbouncer in transaction mode", felt))
}

// throughService migrates and writes through a service with database.poll_only.
func throughService(t *testing.T, address string) func(ctx context.Context, fn func(tx transaction) error) error {
	t.Helper()
	loaded, err := settings.Load(&settings.LoadOptions{Environ: []string{
		"PARLEY_APP_ID=faults", "PARLEY_DATABASE_URL=" + address, "PARLEY_DATABASE_POLL_ONLY=true", "PARLEY_DATABASE_MAX_CONNECTIONS=12",
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Open(loaded, &service.Config{Logger: quiet})
	if err == nil {
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		err = s.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, fn func(tx transaction) error) error {
		return s.InTx(ctx, func(tx *service.Tx) error {
			return fn(transaction{s.Outbox.In(tx), func(ctx context.Context, statement string) error {
				_, err := tx.Pgx.Exec(ctx, statement)
				return err
			}})
		})
	}
}
