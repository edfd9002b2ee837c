package testenv_test

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

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

func TestRabbitMQGivesAURLThatTakesALogin(t *testing.T) {
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	name := testenv.Unique(t, "testenv")
	if _, err := ch.QueueDeclare(name, false, true, true, false, nil); err != nil {
		t.Errorf("declare queue %q: %v", name, err)
	}
}

func TestUniqueNeverRepeats(t *testing.T) {
	a, b := testenv.Unique(t, "orders"), testenv.Unique(t, "orders")
	if a == b || !strings.HasPrefix(a, "orders_") {
		t.Errorf("Unique gave %q and %q, want two different names starting with orders_", a, b)
	}
}

// outcome runs f as a test body of its own and returns how it ended.
func outcome(t *testing.T, f func(testing.TB)) (ended, message string) {
	t.Helper()
	tb := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(tb)
	}()
	<-done
	return tb.ended, tb.message
}

func TestUnreachableServerGivenByAVariableFailsAndNamesTheVariable(t *testing.T) {
	closed := closedPort(t)
	for _, c := range []struct {
		variable, address string
		ask               func(testing.TB) string
	}{
		{"PARLEY_TEST_POSTGRES_URL", "postgres://u:s3cret@" + closed + "/postgres", testenv.Postgres},
		{"PARLEY_TEST_POSTGRES_URL", "host=127.0.0.1 password=s3cret", testenv.Postgres},
		{"PARLEY_TEST_MARIADB_DSN", "u:s3cret@tcp(" + closed + ")/", testenv.MariaDB},
		{"PARLEY_TEST_MARIADB_DSN", "u:s3cret@nowhere", testenv.MariaDB},
		{"PARLEY_TEST_RABBITMQ_URL", "amqp://u:s3cret@" + closed + "/", testenv.RabbitMQ},
		{"PARLEY_TEST_RABBITMQ_URL", "http://u:s3cret@" + closed, testenv.RabbitMQ},
	} {
		t.Run(c.address, func(t *testing.T) {
			t.Setenv(c.variable, c.address)
			ended, message := outcome(t, func(tb testing.TB) { c.ask(tb) })
			if ended != "fatal" || !strings.Contains(message, c.variable) {
				t.Errorf("%s ended as %q with %q, want fatal with the variable's name", c.variable, ended, message)
			}
			if strings.Contains(message, "s3cret") {
				t.Errorf("the message shows the password: %q", message)
			}
		})
	}
}

func TestMissingServerIsAMissingErrorThatNamesTheVariableAndTheFix(t *testing.T) {
	s := testenv.RabbitMQServer
	s.Variable = "PARLEY_TEST_OF_TESTENV"
	s.Default = "amqp://guest:guest@" + closedPort(t) + "/"
	_, err := s.Locate(t.Context())
	if err == nil {
		t.Fatal("a closed port was located as a server")
	}
	for _, want := range []string{"no RabbitMQ", s.Variable, s.Default} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestServerThatRefusesTheDefaultAccountIsMissingAndSaysSo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // accepts, then closes
		}
	}()
	s := testenv.PostgreSQL
	s.Variable = "PARLEY_TEST_OF_TESTENV"
	s.Default = "postgres://postgres@" + l.Addr().String() + "/postgres?sslmode=disable"
	_, err = s.Locate(t.Context())
	if err == nil || !strings.Contains(err.Error(), "rejects the default account") || !strings.Contains(err.Error(), s.Variable) {
		t.Errorf("error %v, want one that names the account and %s", err, s.Variable)
	}
}

func TestSkipIsAFailureWhenEverythingWasPromised(t *testing.T) {
	t.Setenv(testenv.LedgerVariable, "") // these skips are not real
	skip := func(tb testing.TB) { testenv.Skip(tb, "PARLEY_TEST_X", "no frobnicator") }
	for all, want := range map[string]string{"": "skip", "0": "skip", "1": "fatal"} {
		t.Setenv(testenv.AllVariable, all)
		ended, message := outcome(t, skip)
		if ended != want || !strings.Contains(message, "PARLEY_TEST_X") || !strings.Contains(message, "no frobnicator") {
			t.Errorf("with %s=%q: %q, %q, want %q, the variable and the reason", testenv.AllVariable, all, ended, message, want)
		}
	}
}

func TestLedgerRecordsUsedServersAndSkips(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	t.Setenv(testenv.LedgerVariable, path)
	t.Setenv(testenv.AllVariable, "")
	outcome(t, func(tb testing.TB) { testenv.Skip(tb, "PARLEY_TEST_X", "two\nlines\tand a tab") })
	address := testenv.RabbitMQ(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := testenv.ParseLedger("noise\n" + string(text))
	if len(got) != 2 {
		t.Fatalf("%d entries in %q, want 2", len(got), text)
	}
	want := testenv.LedgerEntry{Kind: "skip", Package: "testenv", Test: t.Name(), Subject: "PARLEY_TEST_X", Detail: "two lines and a tab"}
	if got[0] != want {
		t.Errorf("skip recorded as %+v, want %+v", got[0], want)
	}
	if got[1].Kind != "use" || got[1].Subject != "RabbitMQ" || !strings.Contains(address, got[1].Detail) {
		t.Errorf("use recorded as %+v, want a use of RabbitMQ at the host and port of its address", got[1])
	}
}

// closedPort returns a host and port on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// recorder is a test whose end is recorded instead of reported.
type recorder struct {
	testing.TB
	ended, message string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) { r.end("fatal", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) { r.end("fatal", fmt.Sprintf(format, args...)) }

func (r *recorder) Skipf(format string, args ...any) { r.end("skip", fmt.Sprintf(format, args...)) }

func (r *recorder) end(how, message string) {
	r.ended, r.message = how, message
	runtime.Goexit()
}
