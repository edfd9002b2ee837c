package testenv_test

import (
	"net"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

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
