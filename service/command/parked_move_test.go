package command

import (
	"context"
	"sync"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

func TestFailedDeliveriesReturnToTheirQueueAndAreHandledThere(t *testing.T) {
	name, url := testenv.Unique(t, "parley_return"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, name, waitingRow, parkedRow)
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		return b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: name}}})
	})
	flags := []string{"parked", "return", "--to-queue", flag, "--broker-url=" + url, "--queue=" + name}
	wantText(t, mustCall(t, ExitOK, append(flags, "--waiting")...), "returned 1 to queue "+name)
	if rows, err := s.Database().Failures().List(t.Context(), parley.FailureQuery{}, 0, 10); err != nil || len(rows) != 1 || "c"+num(rows[0].ID) != ids[1] {
		t.Errorf("rows left: %+v (%v), want the parked one", rows, err)
	}
	wantText(t, mustCall(t, ExitOK, flags...), "returned 1 to queue "+name)
	wantText(t, mustCall(t, ExitOK, "log", flag), "return", "to_queue="+name)
	log, err := s.Database().Actions(t.Context(), parley.ActionQuery{})
	if err != nil || len(log) != 2 || log[0].Changed != 1 || log[1].Changed != 1 || log[0].Name != parley.ActionReturn {
		t.Errorf("the log has %+v (%v), want two returns of one row", log, err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	serve(t, &settings.Settings{Queue: name, Broker: settings.Broker{URL: settings.URL(url)}, Database: settings.Database{URL: "memory:"}}, 2, func(s *service.Service, done func()) {
		s.Router.Handle("user", "renamed", parley.HandlerFunc(func(_ context.Context, d *parley.Delivery) error {
			mu.Lock()
			seen[d.ID] = d.History().Attempts
			mu.Unlock()
			done()
			return nil
		}))
	}, func(context.Context, *service.Service) error { return nil })
	if len(seen) != 2 || seen["m1"] != 3 || seen["m2"] != 3 {
		t.Errorf("handled %v, want m1 and m2 with 3 failed attempts each", seen)
	}
}

func TestFailedDeliveriesStayInTheDatabaseWhileAnotherConsumerIsOnTheQueue(t *testing.T) {
	name, url := testenv.Unique(t, "parley_return"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	keep(t, s, name, parkedRow)
	flags := []string{"parked", "return", "--to-queue", flag, "--broker-url=" + url, "--queue=" + name}
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: name}}}); err != nil {
			return err
		}
		other, err := b.Subscribe(ctx, name, parley.SubscribeOptions{Prefetch: 1}) // like runconsumer of the Python library
		if err != nil {
			return err
		}
		wantText(t, mustCall(t, ExitFailed, flags...), "has 1 consumer of another library", "--force")
		if rows, err := s.Database().Failures().List(ctx, parley.FailureQuery{}, 0, 10); err != nil || len(rows) != 1 {
			t.Errorf("%d rows are left (%v), want one", len(rows), err)
		}
		wantText(t, mustCall(t, ExitOK, append(flags, "--force")...), "returned 1")
		return other.Close()
	})
}
