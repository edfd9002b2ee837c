package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
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

func TestBindingTakesEffectAfterTheKeyWasRouted(t *testing.T) {
	b := open(t, parley.Queue{Name: "a"})
	m := to("b", 1)
	if outcomes := b.Publish(t.Context(), m); !errors.Is(outcomes[0], parley.ErrUnroutable) {
		t.Errorf("no queue is bound yet: %v", outcomes)
	}
	declare(t, b, parley.Queue{Name: "b"})
	publish(t, b, m...)
	wantWaiting(t, b, "b", "0")
	if err := b.DeleteQueue(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	if outcomes := b.Publish(t.Context(), m); !errors.Is(outcomes[0], parley.ErrUnroutable) {
		t.Errorf("the queue was deleted: %v", outcomes)
	}
}

func TestManyRoutingKeysAreRoutedAlike(t *testing.T) {
	b := open(t, parley.Queue{Name: "all"})
	err := b.Declare(t.Context(), parley.Topology{Bindings: []parley.Binding{{Queue: "all", Exchange: "ex"}}})
	if err != nil {
		t.Fatal(err)
	}
	const keys = 10_000 // more than an exchange remembers
	for range 2 {
		for i := range keys {
			publish(t, b, parley.Message{Exchange: "ex", RoutingKey: fmt.Sprint("key.", i)})
		}
	}
	if n, _, err := b.QueueLen(t.Context(), "all"); err != nil || n != 2*keys {
		t.Errorf("the queue has %d messages (%v), want %d", n, err, 2*keys)
	}
}

func TestAutoDeleteExchangeGoesWithItsLastBinding(t *testing.T) {
	b := memory.NewBroker(&memory.BrokerConfig{Topology: parley.TopologyVerify})
	replies := parley.Exchange{Name: "replies", Type: parley.ExchangeDirect, AutoDelete: true}
	err := b.Declare(t.Context(), parley.Topology{
		Exchanges: []parley.Exchange{replies},
		Queues:    []parley.Queue{{Name: "r1"}, {Name: "r2"}},
		Bindings:  []parley.Binding{{Queue: "r1", Exchange: "replies", RoutingKey: "1"}, {Queue: "r2", Exchange: "replies", RoutingKey: "2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	exists := func() error {
		return b.Declare(t.Context(), parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{replies}})
	}
	_ = b.DeleteQueue(t.Context(), "r1")
	if err := exists(); err != nil {
		t.Errorf("one binding is left: %v", err)
	}
	_ = b.DeleteQueue(t.Context(), "r2")
	wantCode(t, exists(), 404)
}

func TestNamesOfTheBrokerAreRefused(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	ctx := t.Context()
	for _, topology := range []parley.Topology{
		{Exchanges: []parley.Exchange{{Name: ""}}},
		{Exchanges: []parley.Exchange{{Name: "amq.mine"}}},
		{Queues: []parley.Queue{{Name: "amq.mine"}}},
		{Bindings: []parley.Binding{{Queue: "q", Exchange: ""}}},
	} {
		wantCode(t, b.Declare(ctx, topology), 403)
	}
	wantCode(t, b.DeleteExchange(ctx, "amq.topic"), 403)
	wantCode(t, b.Declare(ctx, parley.Topology{Exchanges: []parley.Exchange{{Name: "x", Type: "odd"}}}), 503)
	if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{}}}); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("a queue without a name: %v, want ErrInvalid", err)
	}
	err := b.Declare(ctx, parley.Topology{
		Exchanges: []parley.Exchange{{Name: "amq.topic"}}, Bindings: []parley.Binding{{Queue: "q", Exchange: "amq.topic"}},
	})
	if err != nil {
		t.Errorf("an exchange that every broker has: %v", err)
	}
	publish(t, b, parley.Message{Exchange: "amq.topic", RoutingKey: "a", ID: "1"})
	wantWaiting(t, b, "q", "1")
}

func TestMissingExchangeIsRefusedUnlessDeclaring(t *testing.T) {
	for _, mode := range []parley.TopologyMode{parley.TopologyVerify, parley.TopologyNone} {
		b := memory.NewBroker(&memory.BrokerConfig{Topology: mode})
		if outcomes := b.Publish(t.Context(), to("q", 1)); !errors.Is(outcomes[0], parley.ErrRefused) {
			t.Errorf("mode %v: %v, want ErrRefused", mode, outcomes)
		}
	}
	b := memory.NewBroker(nil)
	if outcomes := b.Publish(t.Context(), to("q", 1)); !errors.Is(outcomes[0], parley.ErrUnroutable) {
		t.Errorf("mode declare: %v, want ErrUnroutable", outcomes)
	}
	declare(t, b, parley.Queue{Name: "q"}) // would conflict if it were not a topic exchange
}

func TestBodyOverTheLimitIsRefused(t *testing.T) {
	b := memory.NewBroker(&memory.BrokerConfig{MaxBody: 3})
	declare(t, b, parley.Queue{Name: "q"})
	m := to("q", 2)
	m[0].Body, m[1].Body = []byte("1234"), []byte("123")
	outcomes := b.Publish(t.Context(), m)
	if len(outcomes) != 2 || !errors.Is(outcomes[0], parley.ErrRefused) || outcomes[1] != nil {
		t.Errorf("4 and 3 bytes with a limit of 3: %v", outcomes)
	}
	wantWaiting(t, b, "q", "1")
}

func TestPurgeEmptiesAQueueAndQueueLenCounts(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	publish(t, b, to("q", 5)...)
	s := subscribe(t, b, "q", 2)
	if n, consumers, err := b.QueueLen(t.Context(), "q"); n != 3 || consumers != 1 || err != nil {
		t.Errorf("2 of 5 in hand: %d messages, %d consumers, %v", n, consumers, err)
	}
	if n, err := b.Purge(t.Context(), "q"); n != 3 || err != nil {
		t.Errorf("purged %d messages (%v), want 3", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantWaiting(t, b, "q", "0", "1")
	if got := b.Queues(); !slices.Equal(got, []string{"q"}) {
		t.Errorf("the broker has the queues %v", got)
	}
	_, _, err := b.QueueLen(t.Context(), "nowhere")
	wantCode(t, err, 404)
	_, err = b.Purge(t.Context(), "nowhere")
	wantCode(t, err, 404)
}

func TestPublishedKeepsTheLastMessages(t *testing.T) {
	b := memory.NewBroker(&memory.BrokerConfig{LogLimit: 3})
	declare(t, b, parley.Queue{Name: "q"})
	for range 5 {
		publish(t, b, to("q", 4)...)
	}
	b.Publish(t.Context(), to("nowhere", 1)) // unroutable, but it has reached the broker
	var got []string
	for _, m := range b.Published() {
		got = append(got, m.RoutingKey+m.ID)
	}
	if want := []string{"q2", "q3", "nowhere0"}; !slices.Equal(got, want) {
		t.Errorf("of a log of 3 there are %v, want %v", got, want)
	}
	none := memory.NewBroker(&memory.BrokerConfig{LogLimit: -1})
	declare(t, none, parley.Queue{Name: "q"})
	publish(t, none, to("q", 4)...)
	if n := len(none.Published()); n != 0 {
		t.Errorf("a log that was turned off has %d messages", n)
	}
}

func TestPrefetchOutOfRangeIsInvalid(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	for _, prefetch := range []int{-1, 0, 65536} {
		_, err := b.Subscribe(t.Context(), "q", parley.SubscribeOptions{Prefetch: prefetch})
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("prefetch %d: %v, want ErrInvalid", prefetch, err)
		}
	}
}
