package rabbitmq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	amqp "github.com/rabbitmq/amqp091-go"
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
