package service_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

func TestAStatusOfARunningServiceHasItsPartsAndQueues(t *testing.T) {
	s, err := service.Open(&settings.Settings{
		AppID: "shop", Broker: settings.Broker{URL: "memory:"}, Queue: "orders",
		Database: settings.Database{URL: settings.URL("sqlite:" + filepath.Join(t.TempDir(), "s.db")), Migrate: true},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if st := s.Status(t.Context()); st.Process != nil || len(st.Queues) != 0 || len(st.Unknown) == 0 {
		t.Errorf("without tables and a running process: %+v", st)
	}
	s.Router.Handle("user", "made", parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, service.PartRelay|service.PartConsumer) }()
	servicetest.Await(t, "relay and consumer are ready", func() error {
		st := s.Status(ctx)
		if st.Process["relay"] != "ok" || st.Process["consumer"] != "ok" || len(st.Queues) != 1 || st.Queues[0].Consumers == 0 || len(st.Unknown) > 0 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
