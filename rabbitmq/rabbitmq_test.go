package rabbitmq_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ parley.Broker = (*rabbitmq.Broker)(nil)

// open returns a broker and the names of an exchange and of a queue bound to it.
func open(t testing.TB, cfg rabbitmq.Config) (b *rabbitmq.Broker, exchange, queue string) {
	t.Helper()
	cfg.URL = testenv.RabbitMQ(t)
	if cfg.Logger == nil {
		cfg.Logger = discard()
	}
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	name := testenv.Unique(t, "parley")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = b.Close(ctx) // the test may have done so
		clean, err := rabbitmq.New(&rabbitmq.Config{URL: cfg.URL})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{clean.DeleteQueue(ctx, name), clean.DeleteExchange(ctx, name), clean.Close(ctx)} {
			if err != nil {
				t.Errorf("cleanup: %v", err)
			}
		}
	})
	err = b.Declare(t.Context(), parley.Topology{
		Exchanges: []parley.Exchange{{Name: name}},
		Queues:    []parley.Queue{{Name: name}},
		Bindings:  []parley.Binding{{Queue: name, Exchange: name, RoutingKey: "ok.#"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, name, name
}

func messages(exchange string, n int) []parley.Message {
	out := make([]parley.Message, n)
	for i := range out {
		out[i] = parley.Message{Exchange: exchange, RoutingKey: "ok.a", ID: fmt.Sprint(i), Body: []byte(fmt.Sprintf(`{"n":%d}`, i))}
	}
	return out
}

func subscribe(t testing.TB, b *rabbitmq.Broker, queue string, prefetch int) parley.Subscription {
	t.Helper()
	s, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: prefetch})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t testing.TB, s parley.Subscription) *parley.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func rabbitURL(t testing.TB) string { return testenv.RabbitMQ(t) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func deleteQueues(t *testing.T, b *rabbitmq.Broker, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := b.DeleteQueue(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}
