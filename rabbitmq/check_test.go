package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestAMessageWithHostileHeadersIsParked(t *testing.T) {
	deep := amqp.Table{}
	for range 20 {
		deep = amqp.Table{"a": deep}
	}
	deeper := deep
	for range 20 {
		deeper = amqp.Table{"a": deeper}
	}
	list := make([]any, 8193)
	for name, headers := range map[string]amqp.Table{
		"deep": deep, "deeper than the library reads": deeper, "a list longer than the library reads": {"list": list},
		"large": {"a": string(make([]byte, 130_950))},
	} {
		t.Run(name, func(t *testing.T) {
			b, exchange, queue := open(t, rabbitmq.Config{})
			conn, err := amqp.Dial(rabbitURL(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ch, err := conn.Channel()
			if err != nil {
				t.Fatal(err)
			}
			if err := ch.Publish(exchange, "ok.a", false, false, amqp.Publishing{Headers: headers, Body: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
			r := parley.NewRouter()
			r.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return parley.Park(errors.New("no")) }))
			done := make(chan parley.ConsumerReport, 10)
			c, err := parley.NewConsumer(b, r, &parley.ConsumerConfig{Queue: queue, Logger: discard(),
				Hooks: parley.ConsumerHooks{Done: func(r parley.ConsumerReport) { done <- r }}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			select {
			case r := <-done:
				if r.Outcome != parley.OutcomeParked {
					t.Errorf("outcome %v", r.Outcome)
				}
			case <-time.After(15 * time.Second):
				t.Error("still in hand after 15s: it can never be parked")
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			deleteQueues(t, b, parley.ParkedQueue(queue), queue+".retry.10s", queue+".retry.1m", queue+".retry.10m")
		})
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

func TestBadMessagesAreRefusedAndOthersGoOn(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{MaxBody: 1000, Topology: parley.TopologyNone})
	out := messages(exchange, 6)
	out[0].RoutingKey = strings.Repeat("x", 256)
	out[1].Body = make([]byte, 1001)
	out[2].Exchange = exchange + "-missing"
	out[3].Headers = map[string]any{"bad": struct{}{}}
	outcomes := b.Publish(t.Context(), out)
	for i, err := range outcomes {
		if refused := i < 4; errors.Is(err, parley.ErrRefused) != refused || !refused && err != nil {
			t.Errorf("message %d: got %v, refused: %v", i, err, refused)
		}
	}
	if n, _, _ := b.QueueLen(t.Context(), queue); n != 2 {
		t.Errorf("%d messages arrived, want 2", n)
	}
}

func TestMessagesThatWouldCloseTheConnectionAreRefused(t *testing.T) {
	var lost atomic.Int32
	b, exchange, queue := open(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{Disconnected: func(string, error) { lost.Add(1) }}})
	long := strings.Repeat("n", 256)
	deep := map[string]any{}
	for range 40 {
		deep = map[string]any{"d": deep}
	}
	bad := map[string]func(m *parley.Message){
		"header name":          func(m *parley.Message) { m.Headers = map[string]any{long: "x"} },
		"nested header name":   func(m *parley.Message) { m.Headers = map[string]any{"a": map[string]any{long: "x"}} },
		"header name in array": func(m *parley.Message) { m.Headers = map[string]any{"a": []any{map[string]any{long: 1}}} },
		"header value":         func(m *parley.Message) { m.Headers = map[string]any{"a": []any{struct{}{}}} },
		"deep headers":         func(m *parley.Message) { m.Headers = deep },
		"large headers":        func(m *parley.Message) { m.Headers = map[string]any{"a": strings.Repeat("x", 131_072)} },
		"content type":         func(m *parley.Message) { m.ContentType = long },
		"content encoding":     func(m *parley.Message) { m.ContentEncoding = long },
		"reply-to":             func(m *parley.Message) { m.ReplyTo = long },
		"app id":               func(m *parley.Message) { m.AppID = long },
		"kind":                 func(m *parley.Message) { m.Kind = parley.Kind(long) },
	}
	for what, spoil := range bad {
		out := messages(exchange, 3)
		spoil(&out[1])
		outcomes := b.Publish(t.Context(), out)
		if len(outcomes) != 3 || outcomes[0] != nil || outcomes[2] != nil || !errors.Is(outcomes[1], parley.ErrRefused) {
			t.Errorf("%s: outcomes %v, want only the second refused", what, outcomes)
		}
	}
	if n, _, err := b.QueueLen(t.Context(), queue); n != 2*len(bad) || err != nil || lost.Load() != 0 {
		t.Errorf("%d messages arrived (%v) and %d connections were lost, want %d and none", n, err, lost.Load(), 2*len(bad))
	}
}

func TestTheLargestHeadersThatFitArrive(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	out := messages(exchange, 1)
	const fits = 131_072 - 8 - 300 // a frame minus other properties and headers that a broker may add
	out[0].Headers = map[string]any{"a": strings.Repeat("x", fits), "int": 1 << 40}
	if outcomes := b.Publish(t.Context(), out); outcomes != nil {
		t.Fatal(outcomes)
	}
	s := subscribe(t, b, queue, 1)
	defer s.Close()
	if d := next(t, s); len(d.Header("a")) != fits || d.Headers["int"] != int64(1<<40) {
		t.Errorf("headers of %d bytes and %v arrived, want %d and 1<<40", len(d.Header("a")), d.Headers["int"], fits)
	}
}
