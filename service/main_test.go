package service

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.PgxCloses()) }

// user is a payload for tests.
type user struct {
	ID int64 `json:"id"`
}

var renamed = parley.NewEvent[user]("user", "renamed")

// databases returns the URL of a fresh database for each kind.
func databases(t *testing.T) map[string]settings.URL {
	t.Helper()
	return map[string]settings.URL{
		"SQLite":     settings.URL("sqlite:" + filepath.Join(t.TempDir(), "x.db")),
		"PostgreSQL": settings.URL(testenv.Postgres(t)),
		"MariaDB":    settings.URL(servicetest.MySQLURL(t, testenv.MariaDB(t))),
	}
}

// openURL opens a service on a database.
func openURL(t *testing.T, url settings.URL) *Service {
	t.Helper()
	return open(t, &settings.Settings{AppID: "test", Database: settings.Database{URL: url}}, nil)
}

// open opens a service that the end of the test closes.
func open(t *testing.T, with *settings.Settings, cfg *Config) *Service {
	t.Helper()
	if cfg == nil {
		cfg = &Config{}
	}
	if cfg.LogOutput == nil {
		cfg.LogOutput = io.Discard
	}
	s, err := Open(with, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// migrated brings the tables of a service up to date.
func migrated(t *testing.T, s *Service) *Service {
	t.Helper()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t *testing.T, s *Service, e *parley.EventType[user], id int64) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx *Tx) error {
		_, err := parley.Publish(t.Context(), s.Outbox.In(tx), e, user{id})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs a service until its handlers have called done n times.
func serve(t *testing.T, with *settings.Settings, n int, register func(s *Service, done func())) {
	t.Helper()
	s, err := Open(with, &Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), servicetest.Patience)
	defer cancel()
	calls := make(chan struct{}, 64)
	register(s, func() { calls <- struct{}{} })
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx, PartRelay|PartConsumer) }()
	for range n {
		select {
		case <-calls:
		case <-ctx.Done():
			t.Errorf("the handler was not called %d times in %v", n, servicetest.Patience)
		}
	}
	cancel()
	if err := errors.Join(<-stopped, s.Close(context.Background())); err != nil {
		t.Error(err)
	}
}
