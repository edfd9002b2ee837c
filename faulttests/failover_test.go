//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
)

// A pair is a PostgreSQL primary and its synchronous standby: a commit waits until the standby has it.
type pair struct {
	t                *testing.T
	primary, standby *server
	// url names both hosts, in an order that does not change.
	url string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, primary: privatePostgres(t)}
	p.primary.execute("ALTER SYSTEM SET wal_keep_size = '1GB'", "SELECT pg_reload_conf()") // pg_rewind reads back to the last checkpoint
	p.standby = p.primary.standby()
	// The standby is first, so each client tries it first and must skip it.
	p.url = fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write&connect_timeout=5",
		canary, p.standby.port, p.primary.port)
	p.synchronous()
	return p
}

// execute runs statements on a server, each in its own transaction.
func (s *server) execute(statements ...string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, q := range statements {
		if _, err := conn.Exec(s.t.Context(), q); err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
	}
}

// scan reads one value of a server, or returns false.
func scan[T any](s *server, query string) (out T, ok bool) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return out, false
	}
	defer conn.Close(context.Background())
	return out, conn.QueryRow(ctx, query).Scan(&out) == nil
}

// synchronous makes the commits of the primary wait for the standby.
func (p *pair) synchronous() {
	p.t.Helper()
	p.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	eventually(p.t, "the standby is synchronous", func() bool {
		state, ok := scan[string](p.primary, "SELECT sync_state FROM pg_stat_replication")
		return ok && (state == "sync" || state == "quorum")
	})
}

// promote makes the standby the primary. It alone decides about commits until it has a standby of its own.
func (p *pair) promote() {
	p.t.Helper()
	p.standby.execute("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_promote()", "SELECT pg_reload_conf()")
	eventually(p.t, "the standby is promoted", func() bool {
		recovering, ok := scan[bool](p.standby, "SELECT pg_is_in_recovery()")
		return ok && !recovering
	})
	p.primary, p.standby = p.standby, p.primary
}

// rejoin starts the old primary as the standby of the new one, as a failover manager does: first it goes back to the point where both parted.
func (p *pair) rejoin() {
	p.t.Helper()
	source := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres", p.primary.port)
	p.standby.run(executable(p.t, "/usr/lib/postgresql/*/bin/pg_rewind"), "--target-pgdata="+filepath.Join(p.standby.dir, "data"),
		"--source-server="+source, "--write-recovery-conf", "--no-sync")
	p.standby.start()
	p.synchronous()
}

func TestAFailOverOfPostgreSQLLosesNothingAndRepeatsNoEffect(t *testing.T) {
	needCluster(t)
	p := newPair(t)
	for _, f := range []struct {
		name string
		do   func()
	}{
		{"kill -9 of the primary, its synchronous standby is promoted after 3 s", func() {
			p.primary.signal(syscall.SIGKILL)
			pass(3 * time.Second)
			p.promote()
		}},
		{"the old primary rejoins as a standby, beside the new one", p.rejoin},
		{"planned switch-over: the primary is stopped, its standby promoted, the old primary rejoins as a standby", func() {
			p.primary.signal(syscall.SIGINT)
			p.promote()
			p.rejoin()
		}},
		{"SIGSTOP of the primary for 10 s, its standby is promoted, the old primary is killed and rejoins as a standby", func() {
			old, family := p.primary, p.primary.family()
			for _, pid := range family {
				_ = syscall.Kill(pid, syscall.SIGSTOP) // a child may have ended
			}
			pass(10 * time.Second)
			p.promote()
			for _, pid := range family[1:] { // fencing
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			old.signal(syscall.SIGKILL)
			p.rejoin()
		}},
		{"the synchronous standby is down for 10 s, so no commit returns", func() {
			p.standby.signal(syscall.SIGKILL)
			pass(10 * time.Second)
			p.standby.start()
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			p.t, p.primary.t, p.standby.t = t, t, t
			p.primary.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
			l := newLabOn(t, p.url, testenv.RabbitMQ(t), 2)
			work := l.consumer()
			work.Fail = 20
			children := []*process{spawn(t, l.child("relay")), spawn(t, l.child("relay")), spawn(t, work), spawn(t, work)}
			for _, c := range children {
				c.works()
			}
			stopLoad := l.load(200)
			watch := stopwatch{t: t}
			watch.until("events have effects", l.effected, time.Now(), 300)
			f.do()
			was := 0
			eventually(t, "the new primary answers", func() bool { var err error; was, err = l.effected(); return err == nil })
			watch.until("events have effects after the fault", l.effected, time.Now(), was+200)
			stopLoad()
			l.drained()
			l.handled()
			for _, c := range children {
				c.stop()
			}
			l.outage(f.name, p.version(), 10*100)
		})
	}
}

// version returns the version of the servers, for the table.
func (p *pair) version() string {
	p.t.Helper()
	version, _ := scan[string](p.primary, "SHOW server_version")
	return "PostgreSQL " + strings.Fields(version)[0] + ", primary and synchronous standby"
}
