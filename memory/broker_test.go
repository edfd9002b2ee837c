package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBrokerKeepsThePromisesOfABroker(t *testing.T) {
	parleytest.TestBroker(t, func(t *testing.T) parley.Broker {
		b := memory.NewBroker(nil)
		t.Cleanup(func() {
			if err := b.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return b
	})
}

// open returns a broker with the queues, each bound to exchange "ex" by its name.
func open(t testing.TB, queues ...parley.Queue) *memory.Broker {
	t.Helper()
	b := memory.NewBroker(nil)
	declare(t, b, queues...)
	return b
}

func declare(t testing.TB, b *memory.Broker, queues ...parley.Queue) {
	t.Helper()
	topology := parley.Topology{Exchanges: []parley.Exchange{{Name: "ex"}}, Queues: queues}
	for _, q := range queues {
		topology.Bindings = append(topology.Bindings, parley.Binding{Queue: q.Name, Exchange: "ex", RoutingKey: q.Name})
	}
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
}

// to returns n messages that the queue gets.
func to(queue string, n int) []parley.Message {
	out := make([]parley.Message, n)
	for i := range out {
		out[i] = parley.Message{Exchange: "ex", RoutingKey: queue, ID: fmt.Sprint(i), Body: []byte(`{}`)}
	}
	return out
}

func publish(t testing.TB, b *memory.Broker, messages ...parley.Message) {
	t.Helper()
	if outcomes := b.Publish(t.Context(), messages); outcomes != nil {
		t.Fatalf("publish: %v", errors.Join(outcomes...))
	}
}

func subscribe(t testing.TB, b *memory.Broker, queue string, prefetch int) parley.Subscription {
	t.Helper()
	s, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: prefetch})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t testing.TB, s parley.Subscription) *parley.Delivery {
	t.Helper()
	d, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func waiting(b *memory.Broker, queue string) []string {
	ids := []string{}
	for _, m := range b.Messages(queue) {
		ids = append(ids, m.ID)
	}
	return ids
}

func wantWaiting(t *testing.T, b *memory.Broker, queue string, want ...string) {
	t.Helper()
	if got := waiting(b, queue); !slices.Equal(got, want) {
		t.Errorf("queue %q has the messages %v, want %v", queue, got, want)
	}
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	if e, ok := errors.AsType[*parley.TopologyError](err); !ok || e.Code != code {
		t.Errorf("got %v, want a *parley.TopologyError with code %d", err, code)
	}
}
