package rabbitmq_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

func TestPriorityAndExpirationTravelAndTheUserIDIsRead(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	out := messages(exchange, 1)
	out[0].Priority, out[0].Expiration, out[0].UserID = 9, time.Hour+time.Microsecond, "another user"
	if errs := b.Publish(t.Context(), out); errs != nil {
		t.Fatal(errs)
	}
	foreign := publishForeign(t, exchange)
	foreign(amqp.Publishing{UserId: "guest", Expiration: "86400000"})
	s := subscribe(t, b, queue, 2)
	defer s.Close()
	if d := next(t, s); d.Priority != 9 || d.Expiration != time.Hour+time.Millisecond || d.UserID != "" {
		t.Errorf("priority %d, expiration %v and user id %q arrived, want 9, 1h0m0.001s (rounded up) and none", d.Priority, d.Expiration, d.UserID)
	}
	if d := next(t, s); d.UserID != "guest" || d.Expiration != 24*time.Hour {
		t.Errorf("user id %q and expiration %v arrived, want guest and 24h", d.UserID, d.Expiration)
	}
}

func TestTheShortestExpirationIsNotNone(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	s := subscribe(t, b, queue, 1)
	defer s.Close()
	publishForeign(t, exchange)(amqp.Publishing{Expiration: "0"}) // at once, or never
	if d := next(t, s); d.Expiration != time.Millisecond {
		t.Errorf("an expiration of 0 is read as %v, want 1ms: a copy would never expire", d.Expiration)
	}
}

// publishForeign returns a function that publishes to a queue of open with the bare client library.
func publishForeign(t *testing.T, exchange string) func(amqp.Publishing) {
	t.Helper()
	conn, err := amqp.Dial(rabbitURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(p amqp.Publishing) {
		t.Helper()
		if p.Body == nil {
			p.Body = []byte("{}")
		}
		c, err := ch.PublishWithDeferredConfirm(exchange, "ok.a", false, false, p)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Wait() {
			t.Fatal("the broker has not accepted the message")
		}
	}
}

func TestNoCopyGoesToOtherQueuesByCC(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	list := []any{"ok.b"}
	for _, name := range []string{"CC", "BCC"} {
		for what, c := range map[string]struct {
			exchange string
			value    any
			refused  bool
		}{
			"a list on the default exchange":   {"", list, true},
			"a text on the default exchange":   {"", "x", true},
			"a list on a named exchange":       {exchange, list, false},
			"a text on a named exchange":       {exchange, "x", true},
			"nothing on a named exchange":      {exchange, nil, true},
			"a number in the list":             {exchange, []any{"x", int64(1)}, true},
			"an empty list on a named one":     {exchange, []any{}, false},
			"an empty list on the default one": {"", []any{}, true},
		} {
			key := "ok.a"
			if c.exchange == "" {
				key = queue
			}
			out := []parley.Message{
				{RoutingKey: queue, Body: []byte("{}")},
				{Exchange: c.exchange, RoutingKey: key, Headers: map[string]any{name: c.value}, Body: []byte("{}")},
				{RoutingKey: queue, Body: []byte("{}")},
			}
			errs := b.Publish(t.Context(), out)
			refused := len(errs) == 3 && errs[0] == nil && errs[2] == nil && errors.Is(errs[1], parley.ErrRefused)
			if c.refused && !refused || !c.refused && errs != nil {
				t.Errorf("%s with %s: %v, want only this message refused: %v", name, what, errs, c.refused)
			}
		}
	}
}

// The broker adds headers to a copy that passes through a retry queue. The copy must return in a frame that consumers
// can read, or be refused at once.
func TestACopyWithLargeHeadersReturnsOrIsRefused(t *testing.T) {
	var lost atomic.Int32
	b, _, queue := open(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{Disconnected: func(string, error) { lost.Add(1) }}})
	delay := queue + ".retry.1s"
	t.Cleanup(func() { deleteLater(t, delay) })
	err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: delay, TTL: time.Second, DeadLetterTo: queue, Role: parley.QueueRetry}}})
	if err != nil {
		t.Fatal(err)
	}
	var out []parley.Message
	for size := 128_000; size <= 131_064; size += 50 {
		out = append(out, parley.Message{RoutingKey: delay, ID: fmt.Sprint(size), Headers: map[string]any{"h": string(make([]byte, size))}, Body: []byte("{}")})
	}
	errs := b.Publish(t.Context(), out)
	s := subscribe(t, b, queue, 10)
	back := 0
	for i := range out {
		if errs != nil && errs[i] != nil {
			if !errors.Is(errs[i], parley.ErrRefused) {
				t.Fatalf("headers of %s bytes: %v", out[i].ID, errs[i])
			}
			continue
		}
		d := next(t, s)
		if d.Header(parley.HeaderUnreadable) != "" {
			t.Errorf("headers of %s bytes returned as %q: they were accepted with too little room", d.ID, d.Header(parley.HeaderUnreadable))
		}
		if _, died := d.Headers["x-death"]; !died {
			t.Errorf("headers of %s bytes returned without the broker's headers", d.ID)
		}
		// After a redelivery it has further headers.
		if err := d.Settle(parley.SettleRequeue); err != nil {
			t.Fatal(err)
		}
		if d = next(t, s); d.Header(parley.HeaderUnreadable) != "" {
			t.Errorf("headers of %s bytes cannot be redelivered: %q", d.ID, d.Header(parley.HeaderUnreadable))
		}
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
		back++
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if lost.Load() > 0 || back == 0 || back == len(out) {
		t.Errorf("%d of %d copies returned and %d connections were lost, want some returned, some refused and none lost", back, len(out), lost.Load())
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

func TestAStreamIsNotConsumed(t *testing.T) {
	b, _, _ := open(t, rabbitmq.Config{})
	queue := quorum(t, b, map[string]any{}) // only its name is used
	deleteLater(t, queue)
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue, Arguments: map[string]any{"x-queue-type": "stream"}}}}); err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, b, queue, 10)
	fill(t, b, queue, 3)
	_, err := s.Next(t.Context())
	_ = s.Close()
	if !errors.Is(err, parley.ErrSubscriptionLost) || !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("the first message of a stream: %v, want a refusal", err)
	}
	if _, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 1}); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("subscribing again: %v, want a refusal", err)
	}
	deleteLater(t, queue)
	if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	fill(t, b, queue, 1)
	again := subscribe(t, b, queue, 1)
	defer again.Close()
	next(t, again)
}

func TestAMessageCopiedFromAStreamIsConsumed(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	out := messages(exchange, 2)
	for i := range out {
		out[i].Headers = map[string]any{"x-stream-offset": int64(i)}
	}
	if errs := b.Publish(t.Context(), out); errs != nil {
		t.Fatal(errs)
	}
	s := subscribe(t, b, queue, 2)
	defer s.Close()
	for range out {
		next(t, s)
	}
}
