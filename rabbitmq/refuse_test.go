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
)

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

// A header CC that is not a list is one of the causes for which RabbitMQ closes a channel
// without naming the message. It stands for causes that the checks here do not cover.
func TestAPoisonousMessageIsFoundAmongOthers(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	rabbitmq.Unchecked(b)
	out := messages(exchange, 20)
	out[11].Headers = map[string]any{"CC": "no list"}
	want := map[string]bool{}
	for i := range out {
		want[out[i].ID] = i != 11
	}
	// As a relay does: accepted and refused messages are settled, the others are sent again.
	for round := 0; len(out) > 0; round++ {
		if round == 10 {
			t.Fatalf("after %d rounds %d messages are still unknown", round, len(out))
		}
		outcomes := b.Publish(t.Context(), out)
		var rest []parley.Message
		for i := range out {
			switch {
			case outcomes == nil || outcomes[i] == nil:
			case errors.Is(outcomes[i], parley.ErrUnknown):
				rest = append(rest, out[i])
			case !errors.Is(outcomes[i], parley.ErrRefused) || want[out[i].ID]:
				t.Fatalf("message %s: %v", out[i].ID, outcomes[i])
			}
		}
		out = rest
	}
	got := drain(t, b, queue)
	for id, arrives := range want {
		if (got[id] > 0) != arrives {
			t.Errorf("message %s arrived %d times, want it there: %v", id, got[id], arrives)
		}
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

func TestADeletedQueueMakesMessagesUnroutable(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	done := make(chan struct{})
	var outcomes []error
	go func() {
		defer close(done)
		for len(outcomes) == 0 {
			outcomes = b.Publish(t.Context(), messages(exchange, 200))
		}
	}()
	if err := b.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	<-done
	routed := true
	for i, err := range outcomes {
		if err != nil && !errors.Is(err, parley.ErrUnroutable) || err == nil && !routed {
			t.Fatalf("message %d: %v, want all unroutable from the deletion on", i, err)
		}
		routed = err == nil
	}
}

func TestARetryCopyReturnsWithItsHistory(t *testing.T) {
	b, _, queue := open(t, rabbitmq.Config{})
	delay := queue + ".retry.100ms"
	t.Cleanup(func() {
		clean, _ := rabbitmq.New(&rabbitmq.Config{URL: rabbitURL(t)})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = clean.DeleteQueue(ctx, delay)
		_ = clean.Close(ctx)
	})
	topology := parley.Topology{Queues: []parley.Queue{{Name: delay, TTL: 100 * time.Millisecond, DeadLetterTo: queue}}}
	for range 2 { // declaring it again is not a conflict
		if err := b.Declare(t.Context(), topology); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	hop := parley.Message{RoutingKey: delay, ID: "m", Kind: parley.KindEvent, Headers: map[string]any{"try": int64(1)}, Body: []byte(`{}`)}
	if outcomes := b.Publish(t.Context(), []parley.Message{hop}); outcomes != nil {
		t.Fatal(outcomes)
	}
	s := subscribe(t, b, queue, 1)
	defer s.Close()
	d := next(t, s)
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("redelivered after %v, want 100ms", took)
	}
	if d.Exchange != "" || d.RoutingKey != queue || d.ID != "m" || d.Headers["try"] != int64(1) {
		t.Errorf("returned as %+v", d.Message)
	}
	deaths, _ := d.Headers["x-death"].([]any)
	if len(deaths) != 1 {
		t.Fatalf("x-death is %v, want one entry", d.Headers["x-death"])
	}
	death, _ := deaths[0].(map[string]any)
	if death["reason"] != "expired" || death["queue"] != delay || fmt.Sprint(death["count"]) != "1" {
		t.Errorf("x-death is %v, want an expiry in %s", death, delay)
	}
	// A message with this history can be published as it is.
	d.Exchange, d.RoutingKey = "", queue
	if outcomes := b.Publish(t.Context(), []parley.Message{d.Message}); outcomes != nil {
		t.Errorf("published again with x-death: %v", outcomes)
	}
}

func TestAMessageToAMissingQueueIsUnroutable(t *testing.T) {
	b, _, queue := open(t, rabbitmq.Config{})
	outcomes := b.Publish(t.Context(), []parley.Message{{RoutingKey: queue, Body: []byte(`{}`)}, {RoutingKey: queue + ".missing", Body: []byte(`{}`)}})
	if len(outcomes) != 2 || outcomes[0] != nil || !errors.Is(outcomes[1], parley.ErrUnroutable) {
		t.Errorf("outcomes %v, want the second unroutable", outcomes)
	}
}

func TestPublishReturnsWhenItsContextEndsAndLeavesTheMessagesAlone(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{ConfirmTimeout: 2 * time.Second})
	out := messages(exchange, 50)
	if outcomes := b.Publish(t.Context(), out[:1]); outcomes != nil {
		t.Fatal(outcomes)
	}
	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	outcomes := b.Publish(ctx, out[1:])
	for i := range out {
		copy(out[i].Body, "XXXXX") // they belong to the caller again: the race detector checks it
	}
	if len(outcomes) != 49 || !errors.Is(outcomes[0], parley.ErrUnknown) || !errors.Is(outcomes[0], context.DeadlineExceeded) {
		t.Errorf("outcomes %v, want ErrUnknown and the context's error", outcomes)
	}
	p.Heal()
	s := subscribe(t, b, queue, 50)
	defer s.Close()
	for range out {
		if d := next(t, s); strings.Contains(string(d.Body), "X") {
			t.Errorf("the caller's later change was sent: %s", d.Body)
		}
	}
}
