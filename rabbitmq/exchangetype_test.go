package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// The plugin of this type is not enabled on the test servers.
const unknownType = "x-delayed-message"

// RabbitMQ closes the whole connection when an exchange of an unknown type is declared.
func TestAnExchangeOfAnUnknownTypeHoldsUpNothing(t *testing.T) {
	lost := make(chan string, 10)
	b, exchange, queue := open(t, rabbitmq.Config{
		ExchangeTypes: map[string]parley.ExchangeType{"parley.odd.a": unknownType, "parley.odd.b": unknownType},
		Hooks:         rabbitmq.Hooks{Disconnected: func(c string, _ error) { lost <- c }},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 3 {
		batch := messages(exchange, 2)
		batch = append(append(batch, messages("parley.odd.a", 2)...), messages("parley.odd.b", 1)...)
		batch = append(batch, messages(exchange, 2)...)
		wantRefused(t, b.Publish(ctx, batch), 2, 3, 4)
	}
	if len(lost) > 0 {
		t.Errorf("the connection %q was closed, with everything in flight", <-lost)
	}
	if n := settledLen(t, b, queue, 12); n != 12 {
		t.Errorf("%d messages are in the queue, want 12", n)
	}
}

// wantRefused fails the test unless the messages with these numbers are refused because of their type, and the others accepted.
func wantRefused(t *testing.T, outcomes []error, numbers ...int) {
	t.Helper()
	for i, err := range outcomes {
		if len(numbers) > 0 && i == numbers[0] {
			numbers = numbers[1:]
			if !errors.Is(err, parley.ErrRefused) || !strings.Contains(err.Error(), "unknown exchange type") {
				t.Errorf("message %d: %v, want it refused with the reason", i, err)
			}
		} else if err != nil {
			t.Errorf("message %d: %v, want it accepted", i, err)
		}
	}
	if len(numbers) > 0 {
		t.Errorf("%d messages are not refused: %v", len(numbers), outcomes)
	}
}

func TestAnUnknownTypeIsRememberedAfterAReconnect(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{ExchangeTypes: map[string]parley.ExchangeType{"parley.odd": unknownType}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	batch := append(messages("parley.odd", 1), messages(exchange, 1)...)
	wantRefused(t, b.Publish(ctx, batch), 0)
	if n := p.Sent(faultproxy.ConnectionOpen); n != 2 {
		t.Errorf("%d connections were opened, want that of the messages and that of the declaration", n)
	}
	for range 3 {
		wantRefused(t, b.Publish(ctx, batch), 0)
	}
	p.Cut()
	for b.State().Publishing && ctx.Err() == nil {
		b.Publish(ctx, messages(exchange, 1)) // until the cut is noticed
	}
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, b.Publish(ctx, batch), 0)
	if n := p.Sent(faultproxy.ConnectionOpen); n != 3 {
		t.Errorf("%d connections were opened, want one more for the reconnect only", n)
	}
}

// A broker may limit the number of connections. Then the declaration costs the connection of the messages, once.
func TestAnUnknownTypeHoldsUpNothingWithoutAFurtherConnection(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{ExchangeTypes: map[string]parley.ExchangeType{"parley.odd": unknownType}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	p.Refuse()
	wantRefused(t, b.Publish(ctx, messages("parley.odd", 1)), 0)
	p.Heal()
	wantRefused(t, b.Publish(ctx, append(messages("parley.odd", 1), messages(exchange, 3)...)), 0)
	if n := settledLen(t, b, queue, 3); n != 3 {
		t.Errorf("%d messages are in the queue, want 3", n)
	}
}

func TestDeclaringAnUnknownTypeEndsNoSubscription(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	s := subscribe(t, b, queue, 1)
	defer s.Close()
	for range 2 {
		err := b.Declare(t.Context(), parley.Topology{Exchanges: []parley.Exchange{{Name: "parley.odd", Type: unknownType}, {Name: exchange}}})
		if e, ok := errors.AsType[*parley.TopologyError](err); !ok || e.Code != 503 || !strings.Contains(e.Object, "parley.odd") {
			t.Errorf("got %v, want a *parley.TopologyError with code 503", err)
		}
	}
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	if err := next(t, s).Settle(parley.SettleAck); err != nil {
		t.Error(err)
	}
}
