package service

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

var errNotYet = errors.New("not yet")

// A log collects log lines.
type log struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestMissingTablesAreReportedOnceWithTheCommandOnEveryDatabase(t *testing.T) {
	for kind, url := range map[string]string{
		"PostgreSQL": testenv.Postgres(t), "MariaDB": servicetest.MySQLURL(t, testenv.MariaDB(t)), "SQLite": "sqlite:" + filepath.Join(t.TempDir(), "empty.db"),
	} {
		t.Run(kind, func(t *testing.T) {
			var out log
			s, err := Open(&settings.Settings{AppID: "test", Database: settings.Database{URL: settings.URL(url)}, Broker: settings.Broker{URL: "memory:"},
				Relay: settings.Relay{PollInterval: 10 * time.Millisecond}}, &Config{LogOutput: &out})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(context.WithoutCancel(t.Context()))
			relay, err := s.Relay()
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- relay.Run(ctx) }()
			servicetest.Await(t, "the error", func() error {
				if !strings.Contains(out.String(), "tables are missing, nothing is published") {
					return errNotYet
				}
				return nil
			})
			<-time.After(500 * time.Millisecond) // several more attempts
			h := &health{service: s}
			if state := h.ready(t.Context())["database"]; !strings.Contains(state, "tables are missing") || !strings.Contains(state, "migrate up") {
				t.Errorf("/readyz says database: %q", state)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := strings.Count(out.String(), "tables are missing, nothing is published"); n != 1 {
				t.Errorf("logged %d times, want once:\n%s", n, out.String())
			}
			if strings.Contains(out.String(), "batch failed") || !strings.Contains(out.String(), "parley migrate up") {
				t.Errorf("the log should have the command, and no repeated warning:\n%s", out.String())
			}
			err = s.InTx(t.Context(), func(tx *Tx) error {
				_, err := parley.Publish(t.Context(), s.Outbox.In(tx), parley.NewEvent[int]("user", "renamed"), 1)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "parley migrate up") {
				t.Errorf("a publisher gets %v, want the command", err)
			}
		})
	}
}
