package memory_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

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
