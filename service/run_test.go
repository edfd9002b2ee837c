package service

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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
