package parley_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestTheRetryTopologyNamesWhatAConsumerDeclares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, router := memory.NewBroker(nil), parley.NewRouter()
		if err := broker.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{{Name: "q"}}}); err != nil {
			t.Fatal(err)
		}
		router.Handle("user", "", parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
		delays := []time.Duration{time.Minute, 10 * time.Second}
		consumer := must(parley.NewConsumer(broker, router, &parley.ConsumerConfig{Queue: "q", Logger: quiet, Retry: parley.RetryPolicy{Delays: delays}}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- consumer.Run(ctx) }()
		synctest.Wait()
		for _, q := range parley.RetryTopology("q", delays, nil).Queues {
			if _, _, err := broker.QueueLen(ctx, q.Name); err != nil {
				t.Errorf("queue %q of the topology is not there: %v", q.Name, err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
