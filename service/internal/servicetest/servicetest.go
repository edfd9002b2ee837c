// Package servicetest has helpers for the tests of package service and of the packages below it.
package servicetest

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// MySQLURL converts a DSN of the driver to a URL.
func MySQLURL(t testing.TB, dsn string) string {
	t.Helper()
	c, err := driver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "mysql", User: url.UserPassword(c.User, c.Passwd), Host: c.Addr, Path: "/" + c.DBName}
	return u.String()
}

// Await polls until check returns nil. It fails the test after Patience.
func Await(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: timed out after %v: %v", what, Patience, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Patience is the longest wait for real servers and files.
const Patience = 20 * time.Second

// Rabbit calls do with a connection to the test server.
func Rabbit(t testing.TB, do func(ctx context.Context, b *rabbitmq.Broker) error) {
	t.Helper()
	b, err := rabbitmq.New(&rabbitmq.Config{URL: testenv.RabbitMQ(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := do(ctx, b); err != nil {
		t.Error(err)
	}
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// CleanUp deletes the exchange called name and the queues of the consumer of that name when the test ends.
func CleanUp(t testing.TB, name string) {
	t.Helper()
	t.Cleanup(func() {
		Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
			errs := []error{b.DeleteExchange(ctx, name)}
			for _, suffix := range [...]string{"", ".parked", ".parley", ".retry.10s", ".retry.1m", ".retry.10m"} {
				errs = append(errs, b.DeleteQueue(ctx, name+suffix))
			}
			return errors.Join(errs...)
		})
	})
}

// WriteFile writes a file into a temporary folder and returns its path.
func WriteFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
