package rabbitmq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

func TestMessagesWithoutAnAppIDGetTheConnections(t *testing.T) {
	b, err := rabbitmq.New(&rabbitmq.Config{URL: testenv.RabbitMQ(t), AppID: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	defer b.Close(ctx)
	queue := testenv.Unique(t, "appid")
	if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: queue, Exclusive: true}}}); err != nil {
		t.Fatal(err)
	}
	if errs := b.Publish(ctx, []parley.Message{{RoutingKey: queue}, {RoutingKey: queue, AppID: "other"}}); errs != nil {
		t.Fatal(errs)
	}
	sub, err := b.Subscribe(ctx, queue, parley.SubscribeOptions{Prefetch: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for _, want := range []string{"shop", "other"} {
		if d, err := sub.Next(ctx); err != nil || d.AppID != want {
			t.Errorf("app id %q (%v), want %q", d.AppID, err, want)
		}
	}
}

func TestMessagesArriveInOrderWithTheirProperties(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{Window: 50})
	out := messages(exchange, 500)
	out[0].Headers = map[string]any{"parley-key": "k", "n": int64(7), "sub": map[string]any{"a": []any{"x"}}}
	out[0].Kind, out[0].AppID, out[0].CorrelationID = parley.KindEvent, "app", "c-1"
	if outcomes := b.Publish(t.Context(), out); outcomes != nil {
		t.Fatalf("outcomes %v, want nil", outcomes)
	}
	s := subscribe(t, b, queue, 100)
	for i := range out {
		d := next(t, s)
		if string(d.Body) != string(out[i].Body) {
			t.Fatalf("delivery %d is %s, want %s", i, d.Body, out[i].Body)
		}
		if i == 0 && (d.Key() != "k" || fmt.Sprint(d.Headers) != fmt.Sprint(out[0].Headers) || d.Kind != parley.KindEvent ||
			d.AppID != "app" || d.CorrelationID != "c-1" || d.ContentType != "text/json" || d.ID != "0") {
			t.Errorf("properties differ: %+v", d.Message)
		}
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := b.QueueLen(t.Context(), queue); n != 0 || err != nil {
		t.Errorf("%d messages remain (%v), want none", n, err)
	}
}
