package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
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
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMessagesArriveInOrderWithTheirProperties(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{Window: 50})
	out := messages(exchange, 500)
	out[0].Headers = map[string]any{"parley-key": "k", "n": int64(7), "sub": map[string]any{"a": []any{"x"}}}
	out[0].Kind, out[0].AppID, out[0].CorrelationID = parley.KindEvent, "app", "c-1"
	if outcomes := b.Publish(t.Context(), out); outcomes != nil {
		t.Fatalf("outcomes %v, want nil", outcomes)
	}
	s := subscribe(t, b, queue, 100)
	for i := range out {
		d := next(t, s)
		if string(d.Body) != string(out[i].Body) {
			t.Fatalf("delivery %d is %s, want %s", i, d.Body, out[i].Body)
		}
		if i == 0 && (d.Key() != "k" || fmt.Sprint(d.Headers) != fmt.Sprint(out[0].Headers) || d.Kind != parley.KindEvent ||
			d.AppID != "app" || d.CorrelationID != "c-1" || d.ContentType != "text/json" || d.ID != "0") {
			t.Errorf("properties differ: %+v", d.Message)
		}
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := b.QueueLen(t.Context(), queue); n != 0 || err != nil {
		t.Errorf("%d messages remain (%v), want none", n, err)
	}
}

func TestEveryUnroutableMessageIsReported(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{})
	out := messages(exchange, 10_000)
	for i := range out {
		if i%100 == 7 {
			out[i].RoutingKey = "no.queue"
		}
	}
	outcomes := b.Publish(t.Context(), out)
	if len(outcomes) != len(out) {
		t.Fatalf("%d outcomes, want %d", len(outcomes), len(out))
	}
	for i, err := range outcomes {
		if want := i%100 == 7; errors.Is(err, parley.ErrUnroutable) != want || !want && err != nil {
			t.Fatalf("message %d: got %v, unroutable: %v", i, err, want)
		}
	}
}

func TestBadMessagesAreRefusedAndOthersGoOn(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{MaxBody: 1000, Topology: parley.TopologyNone})
	out := messages(exchange, 6)
	out[0].RoutingKey = strings.Repeat("x", 256)
	out[1].Body = make([]byte, 1001)
	out[2].Exchange = exchange + "-missing"
	out[3].Headers = map[string]any{"bad": struct{}{}}
	outcomes := b.Publish(t.Context(), out)
	for i, err := range outcomes {
		if refused := i < 4; errors.Is(err, parley.ErrRefused) != refused || !refused && err != nil {
			t.Errorf("message %d: got %v, refused: %v", i, err, refused)
		}
	}
	if n, _, _ := b.QueueLen(t.Context(), queue); n != 2 {
		t.Errorf("%d messages arrived, want 2", n)
	}
}

func TestManyPublishersShareOneChannel(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{Window: 16})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
					t.Errorf("outcomes %v, want nil", outcomes)
				}
			}
		})
	}
	wg.Wait()
	if n, _, _ := b.QueueLen(t.Context(), queue); n != 64*20 {
		t.Errorf("%d messages arrived, want %d", n, 64*20)
	}
}

func TestUnsettledDeliveriesAreRequeuedAndStaleAcksAreNoOps(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	b.Publish(t.Context(), messages(exchange, 3))
	s := subscribe(t, b, queue, 10)
	first, second, third := next(t, s), next(t, s), next(t, s)
	if err := second.Settle(parley.SettleAck); err != nil {
		t.Fatal(err)
	}
	if err := second.Settle(parley.SettleAck); !errors.Is(err, parley.ErrSettled) {
		t.Errorf("second settlement: got %v, want ErrSettled", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := third.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
		t.Errorf("settlement after the end: got %v, want ErrStale", err)
	}
	s = subscribe(t, b, queue, 10)
	defer s.Close()
	for _, want := range []string{first.ID, third.ID} {
		d := next(t, s)
		if d.ID != want || !d.Redelivered {
			t.Errorf("redelivered %q (flag %v), want %q", d.ID, d.Redelivered, want)
		}
	}
}

func TestDeletedQueueEndsTheSubscription(t *testing.T) {
	b, _, queue := open(t, rabbitmq.Config{})
	s := subscribe(t, b, queue, 10)
	defer s.Close()
	if err := b.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Errorf("got %v, want ErrSubscriptionLost", err)
	}
}

func TestConflictingDeclarationsAreNamed(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	err := b.Declare(t.Context(), parley.Topology{
		Exchanges: []parley.Exchange{{Name: exchange, Type: parley.ExchangeFanout}},
		Queues:    []parley.Queue{{Name: queue, TTL: time.Minute}},
	})
	for _, want := range []string{`exchange "` + exchange, `queue "` + queue} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
	err = b.Declare(t.Context(), parley.Topology{Mode: parley.TopologyVerify, Queues: []parley.Queue{{Name: queue + "-missing"}}})
	if e, ok := errors.AsType[*parley.TopologyError](err); !ok || e.Code != 404 {
		t.Errorf("verify a missing queue: got %v, want 404", err)
	}
}

func rabbitURL(t testing.TB) string { return testenv.RabbitMQ(t) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
