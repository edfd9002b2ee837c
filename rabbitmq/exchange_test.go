package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

func TestAMissingExchangeOfTheBrokersOwnNameSpaceIsRefused(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 3 {
		batch := append([]parley.Message{{Exchange: "amq.missing", RoutingKey: "k", Body: []byte("{}")}}, messages(exchange, 3)...)
		errs := b.Publish(ctx, batch)
		if len(errs) == 0 || !errors.Is(errs[0], parley.ErrRefused) {
			t.Errorf("the message to a missing amq. exchange: %v, want refused: its batch is sent again indefinitely", errs)
		}
	}
	if errs := b.Publish(ctx, []parley.Message{{Exchange: "amq.topic", RoutingKey: "no.queue", Body: []byte("{}")}}); len(errs) != 1 || !errors.Is(errs[0], parley.ErrUnroutable) {
		t.Errorf("amq.topic: %v", errs)
	}
}

// A batch to many new exchanges checks several of them at once. An exchange that is refused concerns only its own messages.
func TestABatchToManyNewExchangesDeclaresThemAll(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	batch := messages(exchange, 1)
	for i := range 40 {
		name := fmt.Sprintf("%s.%d", exchange, i)
		t.Cleanup(func() { _ = b.DeleteExchange(context.WithoutCancel(ctx), name) })
		batch = append(batch, messages(name, 2)...)
	}
	batch = append(append(batch, messages("amq.missing", 2)...), messages(exchange, 1)...)
	outcomes := b.Publish(ctx, batch)
	if len(outcomes) != len(batch) {
		t.Fatalf("%d outcomes of %d messages: %v", len(outcomes), len(batch), outcomes)
	}
	for i, err := range outcomes {
		want := parley.ErrUnroutable
		switch batch[i].Exchange {
		case exchange:
			want = nil
		case "amq.missing":
			want = parley.ErrRefused
		}
		if !errors.Is(err, want) {
			t.Errorf("message %d to %s: got %v, want %v", i, batch[i].Exchange, err, want)
		}
	}
	if n, _, err := b.QueueLen(ctx, queue); n != 2 || err != nil {
		t.Errorf("the queue has %d messages, want 2 (%v)", n, err)
	}
	if err := b.Declare(ctx, parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: exchange + ".0"}, {Name: exchange + ".39"}}}); err != nil {
		t.Errorf("exchanges of the batch are not there: %v", err)
	}
}

func TestADeletedExchangeIsDeclaredAgain(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	if err := b.DeleteExchange(t.Context(), exchange); err != nil {
		t.Fatal(err)
	}
	var last error
	for range 3 { // the first one gets the broker's error; the next one finds the exchange declared, but no queue bound
		outcomes := b.Publish(t.Context(), messages(exchange, 1))
		if len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) && !errors.Is(outcomes[0], parley.ErrUnroutable) {
			t.Fatalf("outcomes %v, want unknown, then unroutable", outcomes)
		}
		last = outcomes[0]
	}
	if !errors.Is(last, parley.ErrUnroutable) {
		t.Errorf("after the exchange was deleted: %v, want it declared again and the message unroutable", last)
	}
	if n, _, _ := b.QueueLen(t.Context(), queue); n != 1 {
		t.Errorf("%d messages in the queue, want 1", n)
	}
}

func TestADeletedExchangeIsRefusedWhereNothingIsDeclared(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{Topology: parley.TopologyVerify})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	if err := b.DeleteExchange(t.Context(), exchange); err != nil {
		t.Fatal(err)
	}
	first := b.Publish(t.Context(), messages(exchange, 2))
	if len(first) != 2 || !errors.Is(first[0], parley.ErrUnknown) {
		t.Errorf("directly after the deletion: %v, want ErrUnknown: messages before it may have arrived", first)
	}
	second := b.Publish(t.Context(), messages(exchange, 2))
	if len(second) != 2 || !errors.Is(second[0], parley.ErrRefused) || !errors.Is(second[1], parley.ErrRefused) {
		t.Errorf("sent again: %v, want ErrRefused", second)
	}
}
