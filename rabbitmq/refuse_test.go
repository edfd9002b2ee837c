package rabbitmq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

func TestARetryCopyReturnsWithItsHistory(t *testing.T) {
	b, _, queue := open(t, rabbitmq.Config{})
	delay := queue + ".retry.100ms"
	t.Cleanup(func() {
		clean, _ := rabbitmq.New(&rabbitmq.Config{URL: rabbitURL(t)})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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
