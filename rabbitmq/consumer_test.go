package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/rabbitmq"
)

func TestConsumerOnRabbitMQ(t *testing.T) {
	url := testenv.RabbitMQ(t)
	parleytest.TestConsumer(t, func(t *testing.T) parley.Broker {
		b, err := rabbitmq.New(&rabbitmq.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := b.Close(ctx); err != nil {
				t.Error(err)
			}
		})
		return b
	})
}

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
