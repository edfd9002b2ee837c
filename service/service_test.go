package service

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

func TestRunMovesAnEventFromATransactionToItsHandler(t *testing.T) {
	name := testenv.Unique(t, "parley_service")
	rabbit := settings.URL(testenv.RabbitMQ(t))
	for _, servers := range []struct {
		name             string
		database, broker settings.URL
	}{
		{"memory", "memory:", "memory:"},
		{"SQLite", settings.URL("sqlite:" + filepath.Join(t.TempDir(), "test.db")), "memory:"},
		{"MariaDB", settings.URL(servicetest.MySQLURL(t, testenv.MariaDB(t))), "memory:"},
		{"PostgreSQL and RabbitMQ", settings.URL(testenv.Postgres(t)), rabbit},
	} {
		t.Run(servers.name, func(t *testing.T) {
			aggregate := name + "_" + strings.ToLower(strings.Fields(servers.name)[0])
			with := &settings.Settings{
				AppID: "test", Queue: aggregate, Exchanges: []settings.Exchange{{Name: aggregate}}, Binds: []settings.Bind{{Exchange: aggregate}},
				Broker: settings.Broker{URL: servers.broker}, Database: settings.Database{URL: servers.database, Migrate: true},
			}
			if servers.broker == rabbit {
				servicetest.CleanUp(t, aggregate)
			}
			moveOne(t, with, aggregate)
		})
	}
}

// moveOne runs the service. The handler of one event publishes a second one, which reaches another handler.
func moveOne(t *testing.T, with *settings.Settings, aggregate string) {
	var log syncBuffer
	s, err := Open(with, &Config{LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	first, second := parley.NewEvent[user](aggregate, "first"), parley.NewEvent[user](aggregate, "second")
	got := make(chan parley.Event[user], 8)
	parley.OnTx(s.Router, s.Inbox, first, func(ctx context.Context, tx *Tx, e parley.Event[user]) error {
		_, err := parley.Publish(ctx, s.Outbox.In(tx), second, e.Payload)
		return err
	})
	parley.On(s.Router, second, func(_ context.Context, e parley.Event[user]) error {
		got <- e
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay|PartConsumer) }()
	publishWhenReady(ctx, t, s, first)
	select {
	case e := <-got:
		if e.Payload.ID != 7 || e.Delivery.AppID != "test" {
			t.Errorf("got %+v of %q, want user 7 of \"test\"", e.Payload, e.Delivery.AppID)
		}
	case <-time.After(servicetest.Patience):
		t.Errorf("nothing arrived in %v\n%s", servicetest.Patience, &log)
	}
	cancel()
	if err := errors.Join(<-done, s.Close(context.Background())); err != nil {
		t.Errorf("the service did not stop cleanly: %v\n%s", err, &log)
	}
}

// publishWhenReady publishes after the tables exist and the queue is bound. An event published earlier would be dropped.
func publishWhenReady(ctx context.Context, t *testing.T, s *Service, e *parley.EventType[user]) {
	t.Helper()
	if err := s.Broker.Declare(ctx, s.Settings.ConsumerTopology()); err != nil {
		t.Error(err)
	}
	servicetest.Await(t, "the tables exist", func() error {
		return s.InTx(ctx, func(tx *Tx) error {
			_, err := parley.Publish(ctx, s.Outbox.In(tx), e, user{7})
			return err
		})
	})
}

func TestATransactionThatFailsPublishesNothing(t *testing.T) {
	s := migrated(t, openURL(t, settings.URL("sqlite:"+filepath.Join(t.TempDir(), "x.db"))))
	fails := errors.New("business error")
	err := s.InTx(t.Context(), func(tx *Tx) error {
		_, err := parley.Publish(t.Context(), s.Outbox.In(tx), renamed, user{1})
		return errors.Join(err, fails)
	})
	if !errors.Is(err, fails) {
		t.Errorf("error is %v, want %v", err, fails)
	}
	if st, err := s.db.Stats(t.Context()); err != nil || st.Due != 0 {
		t.Errorf("%d due, %v; want none", st.Due, err)
	}
}
