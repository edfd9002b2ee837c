package service

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/service/status"
)

// holdConnections begins n transactions, as slow handlers do, and returns when all have their connections.
func holdConnections(t *testing.T, s *Service, n int) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}, n), make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			err := s.InTx(context.Background(), func(*Tx) error {
				begun <- struct{}{}
				<-end
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	release = sync.OnceFunc(func() { close(end); wg.Wait() })
	t.Cleanup(release)
	for range n {
		select {
		case <-begun:
		case <-time.After(30 * time.Second):
			t.Fatal("timed out waiting for the connections of the handlers")
		}
	}
	return release
}

func TestSlowHandlersStopNeitherTheRelayNorTheHealthChecks(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"PostgreSQL": func(t *testing.T) string { return testenv.Postgres(t) },
		"MariaDB":    func(t *testing.T) string { return servicetest.MySQLURL(t, testenv.MariaDB(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			database := url(t)
			with := &settings.Settings{AppID: "test", Database: settings.Database{URL: settings.URL(database)}}
			with.Consumer.Concurrency = 3
			s := migrated(t, open(t, with, nil))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if n := s.Settings.Database.MaxConnections; n != 7 {
				t.Fatalf("%d connections for concurrency 3, want 7", n)
			}
			release := holdConnections(t, s, 3)
			event := parley.NewEvent[map[string]int]("pool", "x")
			err := s.InTx(ctx, func(tx *Tx) error { // the rest of the program
				_, err := parley.Publish(ctx, s.Outbox.In(tx), event, map[string]int{})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			wantDatabase(t, s, status.OK)
			all := holdConnections(t, s, 4)
			wantDatabase(t, s, status.Busy)
			b, err := s.db.Claim(ctx, parley.ClaimOptions{Limit: 10})
			if err != nil {
				t.Fatalf("the relay cannot claim while handlers use all connections: %v", err)
			}
			if n := len(b.Records()); n != 1 {
				t.Errorf("the relay claimed %d records, want 1", n)
			}
			if err := b.Release(ctx); err != nil {
				t.Error(err)
			}
			all()
			release()
			wantDatabase(t, s, status.OK)
		})
	}
}

// wantDatabase fails the test unless /readyz answers 200 with this state of the database.
func wantDatabase(t *testing.T, s *Service, want string) {
	t.Helper()
	w := httptest.NewRecorder()
	(&health{service: s}).mux().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"database":"`+want+`"`) {
		t.Errorf("/readyz answers %d %s, want 200 and database %q", w.Code, w.Body, want)
	}
}

func TestADatabaseThatDoesNotAnswerIsNotBusy(t *testing.T) {
	s := openURL(t, "postgres://postgres@127.0.0.1:1/x?connect_timeout=1")
	w := httptest.NewRecorder()
	(&health{service: s}).mux().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"database":"unreachable"`) {
		t.Errorf("/readyz answers %d %s, want 503", w.Code, w.Body)
	}
}
