package rabbitmq_test

import (
	"context"
	"errors"
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
