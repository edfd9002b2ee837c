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
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := b.Close(ctx); err != nil {
				t.Error(err)
			}
		})
		return b
	})
}
