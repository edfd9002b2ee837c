package command

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

// failThenPark runs a consumer until it has parked n events. The returned function runs the consumer with a handler that succeeds
// until two events are handled, and returns how often each user was handled.
func failThenPark(t *testing.T, broker settings.URL, name string, n int64) (handled func() map[int64]int) {
	t.Helper()
	event := parley.NewEvent[user](name, "renamed")
	with := func() *settings.Settings {
		secrets, err := settings.Load(nil) // from the environment, as commands read them
		if err != nil {
			t.Fatal(err)
		}
		return &settings.Settings{
			Queue: name, Exchanges: []settings.Exchange{{Name: name}}, Binds: []settings.Bind{{Exchange: name}}, Broker: settings.Broker{URL: broker},
			Database: settings.Database{URL: "memory:"}, Consumer: settings.Consumer{Secrets: secrets.Consumer.Secrets},
		}
	}
	serve(t, with(), int(n), func(s *service.Service, done func()) {
		parley.On(s.Router, event, func(context.Context, parley.Event[user]) error {
			done()
			return parley.Park(errors.New("not now\x1b[2J"))
		})
	}, func(ctx context.Context, s *service.Service) error {
		for id := range n {
			err := s.InTx(ctx, func(tx *service.Tx) error {
				_, err := parley.Publish(ctx, s.Outbox.In(tx), event, user{id})
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return func() map[int64]int {
		got := map[int64]int{}
		users := make(chan int64, 8)
		serve(t, with(), 2, func(s *service.Service, done func()) {
			parley.On(s.Router, event, func(_ context.Context, e parley.Event[user]) error {
				users <- e.Payload.ID
				done()
				return nil
			})
		}, func(context.Context, *service.Service) error { return nil })
		close(users)
		for id := range users {
			got[id]++
		}
		return got
	}
}

// serve runs a service until its handlers have called done n times.
func serve(t *testing.T, with *settings.Settings, n int, register func(s *service.Service, done func()), then func(ctx context.Context, s *service.Service) error) {
	t.Helper()
	s, err := service.Open(with, &service.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), servicetest.Patience)
	defer cancel()
	calls := make(chan struct{}, 64)
	register(s, func() { calls <- struct{}{} })
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx, service.PartRelay|service.PartConsumer) }()
	err = errors.Join(err, then(ctx, s))
	for range n {
		select {
		case <-calls:
		case <-ctx.Done():
			t.Errorf("the handler was not called %d times in %v", n, servicetest.Patience)
		}
	}
	cancel()
	if err := errors.Join(err, <-stopped, s.Close(context.Background())); err != nil {
		t.Error(err)
	}
}
