package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

// A syncBuffer is a buffer for concurrent writers.
type syncBuffer struct {
	mu sync.Mutex // guards the field below
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestEventsInTheOutboxAreNotPublishedBeforeTheQueueIsBound(t *testing.T) {
	file := settings.URL("sqlite:" + filepath.Join(t.TempDir(), "test.db"))
	with := &settings.Settings{
		Queue: "q", Exchanges: []settings.Exchange{{Name: "user"}}, Binds: []settings.Bind{{Exchange: "user"}},
		Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: file},
	}
	waiting := migrated(t, openURL(t, file))
	for id := range int64(20) {
		publish(t, waiting, renamed, id)
		serve(t, with, 1, func(s *Service, done func()) {
			parley.On(s.Router, renamed, func(_ context.Context, e parley.Event[user]) error {
				done()
				return nil
			})
		})
	}
}

func TestAServiceWaitsForAnUnreachableDatabaseAndCanBeStopped(t *testing.T) {
	var log syncBuffer
	s, err := Open(&settings.Settings{
		Broker:   settings.Broker{URL: "memory:"},
		Database: settings.Database{URL: "postgres://user:cAnArY@127.0.0.1:1/x?connect_timeout=1", Migrate: true},
	}, &Config{LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay) }()
	servicetest.Await(t, "the service logs that it waits", func() error {
		if !strings.Contains(log.String(), "database unreachable or read-only, retrying") {
			return errors.New("nothing is logged")
		}
		return nil
	})
	cancel()
	if err := errors.Join(<-done, s.Close(context.Background())); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "cAnArY") {
		t.Errorf("the log shows the password:\n%s", &log)
	}
}

func TestHealthAndReadinessReportEachPart(t *testing.T) {
	var log syncBuffer
	s, err := Open(&settings.Settings{
		Queue: "q", Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: "memory:"}, HTTP: settings.HTTP{Address: "127.0.0.1:0", Metrics: true},
	}, &Config{LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	s.Router.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay|PartConsumer) }()
	var address string
	servicetest.Await(t, "the service logs its address", func() error {
		_, after, ok := strings.Cut(log.String(), "address=")
		address, _, _ = strings.Cut(after, "\n")
		if !ok || !strings.HasPrefix(address, "127.0.0.1:") {
			return errors.New(log.String())
		}
		return nil
	})
	servicetest.Await(t, "the service is ready", func() error {
		return readiness(address, http.StatusOK, `"consumer":"ok"`, `"relay":"ok"`, `"database":"ok"`)
	})
	publish(t, s, renamed, 1)
	servicetest.Await(t, "the metrics count the event", func() error {
		return fetch("http://"+address+"/metrics", http.StatusOK, `parley_relay_returned_total{outbox="outbox"} 1`, `parley_outbox_due{outbox="outbox"} 0`, `parley_consumer_subscribed{queue="q"} 1`)
	})
	if err := s.broker.Close(ctx); err != nil {
		t.Error(err)
	}
	servicetest.Await(t, "the service notices that the connection to its broker is lost", func() error {
		return readiness(address, http.StatusServiceUnavailable, `"consumer":"not subscribed"`)
	})
	cancel()
	if err := errors.Join(<-done, s.Close(context.Background())); err != nil {
		t.Error(err)
	}
}

func readiness(address string, code int, words ...string) error {
	return fetch("http://"+address+"/readyz", code, words...)
}

// fetch returns an error unless the response has this status and contains all words.
func fetch(url string, code int, words ...string) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != code {
		return fmt.Errorf("status %d with %s, want %d", resp.StatusCode, body, code)
	}
	for _, w := range words {
		if !strings.Contains(string(body), w) {
			return fmt.Errorf("the response lacks %s: %s", w, body)
		}
	}
	return nil
}

func TestMySQLURLsKeepPasswordAndParameters(t *testing.T) {
	dsn, err := mysqlDSN("mysql://us%40er:p%3A%2F%40ss@h/db?timeout=3s")
	if err != nil {
		t.Fatal(err)
	}
	c, err := driver.ParseDSN(dsn)
	if err != nil || c.User != "us@er" || c.Passwd != "p:/@ss" || c.Addr != "h:3306" || c.DBName != "db" || c.Timeout != 3*time.Second {
		t.Errorf("%+v, %v: differs from the URL", c, err)
	}
}
