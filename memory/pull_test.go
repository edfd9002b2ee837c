package memory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestAPullerTakesNoMoreThanWasRequestedAndReturnsTheRest(t *testing.T) {
	ctx := t.Context()
	b := memory.NewBroker(nil)
	if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: "q"}}}); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"1", "2", "3"} {
		if errs := b.Publish(ctx, []parley.Message{{RoutingKey: "q", Body: []byte(body)}}); errs != nil {
			t.Fatal(errs)
		}
	}
	p, err := b.Pull(ctx, "q")
	if err != nil {
		t.Fatal(err)
	}
	first, behind, err := p.Next(ctx)
	if err != nil || string(first.Body) != "1" || behind != 2 {
		t.Fatalf("got %v with %d behind it (%v), want message 1 with 2", first, behind, err)
	}
	if err := first.Settle(parley.SettleAck); err != nil {
		t.Fatal(err)
	}
	if d, _, err := p.Next(ctx); err != nil || string(d.Body) != "2" {
		t.Fatalf("got %v (%v), want message 2", d, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := b.QueueLen(ctx, "q"); n != 2 || err != nil {
		t.Errorf("%d messages are in the queue (%v), want the unsettled one and the last one", n, err)
	}
}

func TestAPullerReportsAnEmptyQueueAMissingOneAndAnEndedContext(t *testing.T) {
	b := memory.NewBroker(nil)
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: "q"}}}); err != nil {
		t.Fatal(err)
	}
	p, err := b.Pull(t.Context(), "q")
	if err != nil {
		t.Fatal(err)
	}
	if d, behind, err := p.Next(t.Context()); d != nil || behind != 0 || err != nil {
		t.Errorf("an empty queue: %v, %d, %v; want nothing", d, behind, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.Next(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	if _, err := b.Pull(ended, "q"); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	_, err = b.Pull(t.Context(), "none")
	if missing, ok := errors.AsType[*parley.TopologyError](err); !ok || missing.Code != 404 {
		t.Errorf("a missing queue: %v, want a TopologyError of code 404", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Pull(t.Context(), "q"); !errors.Is(err, parley.ErrClosed) {
		t.Errorf("a closed broker: %v, want ErrClosed", err)
	}
}
