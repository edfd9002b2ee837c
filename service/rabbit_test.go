package service

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// rabbit connects to the test server, to look and to clean up.
func rabbit(t *testing.T, do func(ctx context.Context, b *rabbitmq.Broker) error) {
	t.Helper()
	b, err := rabbitmq.New(&rabbitmq.Config{URL: testenv.RabbitMQ(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := do(ctx, b); err != nil {
		t.Error(err)
	}
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// cleanUp deletes, when the test ends, the exchange called name and the queues of the
// consumer of that name.
func cleanUp(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
			errs := []error{b.DeleteExchange(ctx, name)}
			for _, suffix := range [...]string{"", ".parked", ".retry.10s", ".retry.1m", ".retry.10m"} {
				errs = append(errs, b.DeleteQueue(ctx, name+suffix))
			}
			return errors.Join(errs...)
		})
	})
}

// failThenPark has n events parked by a consumer. The returned function runs it again, with a
// handler that works, until two events are handled, and returns how often each user was.
func failThenPark(t *testing.T, broker URL, name string, n int64) (handled func() map[int64]int) {
	t.Helper()
	event := parley.NewEvent[user](name, "renamed")
	settings := &Settings{
		Queue: name, Exchanges: []Exchange{{Name: name}}, Binds: []Bind{{Exchange: name}}, Broker: BrokerSettings{URL: broker},
		Database: DatabaseSettings{URL: "memory:"},
	}
	serve(t, settings, int(n), func(s *Service, done func()) {
		parley.On(s.Router, event, func(context.Context, parley.Event[user]) error {
			done()
			return parley.Park(errors.New("not now\x1b[2J"))
		})
	}, func(ctx context.Context, s *Service) error {
		for id := range n {
			err := s.InTx(ctx, func(tx *Tx) error {
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
		serve(t, settings, 2, func(s *Service, done func()) {
			parley.On(s.Router, event, func(_ context.Context, e parley.Event[user]) error {
				users <- e.Payload.ID
				done()
				return nil
			})
		}, func(context.Context, *Service) error { return nil })
		close(users)
		for id := range users {
			got[id]++
		}
		return got
	}
}

// serve runs a service until its handlers have called done n times.
func serve(t *testing.T, settings *Settings, n int, register func(s *Service, done func()), then func(ctx context.Context, s *Service) error) {
	t.Helper()
	s, err := Open(settings, &Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	calls := make(chan struct{}, 64)
	register(s, func() { calls <- struct{}{} })
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx, PartRelay|PartConsumer) }()
	err = errors.Join(err, then(ctx, s))
	for range n {
		select {
		case <-calls:
		case <-ctx.Done():
			t.Errorf("the handler was not called %d times in %v", n, patience)
		}
	}
	cancel()
	if err := errors.Join(err, <-stopped, s.Close(context.Background())); err != nil {
		t.Error(err)
	}
}
