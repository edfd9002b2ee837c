// Package testenv provides real servers to tests, or reports which one is missing.
//
// A test asks for what it needs, [Postgres], [MariaDB] or [RabbitMQ], and gets an
// address that it may use freely. The address comes from the server's environment
// variable, else from the server's usual port on 127.0.0.1 with the account of a fresh
// installation. Without a server the test is skipped with a message that
// names the variable; PARLEY_TEST_ALL=1 turns each such skip into a failure, so that
// a full run cannot skip tests unnoticed. A server that a variable
// names and that does not answer is always a failure.
package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// AllVariable is the environment variable that, set to 1, forbids skipping.
const AllVariable = "PARLEY_TEST_ALL"

// setupTimeout bounds each step that testenv takes on a server: a probe, the creation
// or removal of a database.
const setupTimeout = 30 * time.Second

// Postgres returns the URL of a fresh, empty PostgreSQL database that belongs to this
// test alone. It is dropped, open connections included, when the test ends. Without a
// server the test is skipped (see the package documentation).
func Postgres(t testing.TB) string {
	t.Helper()
	return database(t, PostgreSQL, createPostgres, dropPostgres)
}

// MariaDB returns the DSN, in the form of go-sql-driver/mysql, of a fresh, empty
// MariaDB or MySQL database (utf8mb4) that belongs to this test alone. It is dropped
// when the test ends; connections that still hold a lock by then fail the test.
// Without a server the test is skipped (see the package documentation).
func MariaDB(t testing.TB) string {
	t.Helper()
	return database(t, MariaDBServer, createMariaDB, dropMariaDB)
}

// RabbitMQ returns the URL of a RabbitMQ server which has just accepted a login. All
// tests share its virtual host: take names from [Unique], and delete in t.Cleanup what
// the test declares. Without a server the test is skipped (see the package
// documentation).
func RabbitMQ(t testing.TB) string {
	t.Helper()
	return require(t, RabbitMQServer).Address
}

// Skip skips the test because variable is not set, or fails it when
// PARLEY_TEST_ALL=1. reason names what is missing and, if possible, the fix.
func Skip(t testing.TB, variable, reason string) {
	t.Helper()
	if os.Getenv(AllVariable) == "1" {
		t.Fatalf("%s=1 forbids skipping: %s (set %s)", AllVariable, reason, variable)
	}
	note(t, "skip", variable, reason)
	t.Skipf("%s (set %s to run this test)", reason, variable)
}

// Long skips a test that takes seconds when -short is given; with PARLEY_TEST_ALL=1 it fails then.
func Long(t testing.TB, reason string) {
	t.Helper()
	if testing.Short() {
		Skip(t, "no -short", reason)
	}
}

// Unique returns a name that no other test, run or process uses: prefix, an
// underscore and 12 hexadecimal digits. In lower case it serves as an unquoted
// identifier in SQL and as a name of exchanges and queues.
func Unique(t testing.TB, prefix string) string {
	t.Helper()
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return prefix + "_" + hex.EncodeToString(b[:])
}

// require locates s for t. Without s it skips or fails the test.
func require(t testing.TB, s Server) Endpoint {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	e, err := s.Locate(ctx)
	if err == nil {
		note(t, "use", s.Name, e.HostPort())
		return e
	}
	if _, missing := errors.AsType[*MissingError](err); missing {
		Skip(t, s.Variable, err.Error())
	}
	t.Fatal(err)
	return Endpoint{}
}

type databaseFunc func(ctx context.Context, address, name string) (string, error)

// database creates a database for t with create and registers its removal by drop.
func database(t testing.TB, s Server, create databaseFunc, drop func(ctx context.Context, address, name string) error) string {
	t.Helper()
	server := require(t, s)
	name := strings.ToLower(Unique(t, "parley_test"))
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	address, err := create(ctx, server.Address, name)
	if err != nil {
		t.Fatal(fmt.Errorf("testenv: create %s database %q: %w (may this account create databases? see %s)", s.Name, name, err, s.Variable))
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		if err := drop(ctx, server.Address, name); err != nil {
			t.Errorf("testenv: drop %s database %q: %v", s.Name, name, err)
		}
	})
	return address
}
