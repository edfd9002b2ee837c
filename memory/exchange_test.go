package memory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

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
