package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

func TestEachOfManyDeclarationsThatFailIsNamedInOrder(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{})
	name := func(i int) string { return fmt.Sprintf("%s.%d.", exchange, i) }
	var first, second parley.Topology
	for i := range 40 {
		e := parley.Exchange{Name: name(i)}
		first.Exchanges = append(first.Exchanges, e)
		if i%10 == 3 {
			e.Type = parley.ExchangeFanout
		}
		second.Exchanges = append(second.Exchanges, e)
		t.Cleanup(func() { _ = b.DeleteExchange(context.WithoutCancel(t.Context()), e.Name) })
	}
	if err := b.Declare(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	err := b.Declare(t.Context(), second)
	if err == nil {
		t.Fatal("4 exchanges of another type are accepted")
	}
	rest := err.Error()
	for _, i := range []int{3, 13, 23, 33} {
		_, after, found := strings.Cut(rest, fmt.Sprintf("exchange %q", name(i)))
		if !found {
			t.Fatalf("%s is not named, or not in order: %v", name(i), err)
		}
		rest = after
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
