package rabbitmq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
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

func TestNothingIsDeclaredForReplies(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{})
	stranger := exchange + ".stranger"
	defer func() {
		if err := b.DeleteExchange(t.Context(), stranger); err != nil {
			t.Error(err)
		}
	}()
	for _, m := range []parley.Message{
		{Exchange: stranger, RoutingKey: "call-response.a.b", Kind: parley.KindReply, Body: []byte("{}")},
		{Exchange: stranger, RoutingKey: "call-response.a.b", Body: []byte("{}")}, // as the Python library writes it
	} {
		errs := b.Publish(t.Context(), []parley.Message{m, messages(exchange, 1)[0], m})
		if len(errs) != 3 || !errors.Is(errs[0], parley.ErrUnroutable) || errs[1] != nil || !errors.Is(errs[2], parley.ErrUnroutable) {
			t.Errorf("a reply to an exchange that does not exist: %v, want it unroutable", errs)
		}
	}
	err := b.Declare(t.Context(), parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: stranger}}})
	if e, ok := errors.AsType[*parley.TopologyError](err); !ok || e.Code != 404 {
		t.Errorf("the exchange that only a reply has named: %v, want none", err)
	}
	if errs := b.Publish(t.Context(), []parley.Message{{Exchange: stranger, RoutingKey: "e", Kind: parley.KindEvent, Body: []byte("{}")}}); len(errs) != 1 || !errors.Is(errs[0], parley.ErrUnroutable) {
		t.Errorf("an event to a new exchange: %v, want the exchange declared and no queue bound", errs)
	}
}

func TestAConfiguredExchangeIsDeclaredForReplies(t *testing.T) {
	name := testenv.Unique(t, "replies")
	b, _, _ := open(t, rabbitmq.Config{ExchangeTypes: map[string]parley.ExchangeType{name: parley.ExchangeTopic}})
	defer func() {
		if err := b.DeleteExchange(t.Context(), name); err != nil {
			t.Error(err)
		}
	}()
	b.Publish(t.Context(), []parley.Message{{Exchange: name, RoutingKey: "call-response.a.b", Kind: parley.KindReply, Body: []byte("{}")}})
	if err := b.Declare(t.Context(), parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: name}}}); err != nil {
		t.Errorf("an exchange of the configuration: %v, want it declared", err)
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
