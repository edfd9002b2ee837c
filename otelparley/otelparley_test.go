package otelparley_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/otelparley"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type user struct{ Name string }

var renamed = parley.NewEvent[user]("user", "renamed")

var quiet = slog.New(slog.DiscardHandler)

// run publishes three events within a span called "request", and consumes them; the second one fails
// permanently. It returns when all are settled.
func run(t *testing.T, telemetry *otelparley.Telemetry, tracer *trace.TracerProvider) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	store, broker, router := memory.NewStore(), memory.NewBroker(nil), parley.NewRouter()
	router.Use(telemetry.Middleware())
	parley.On(router, renamed, func(_ context.Context, e parley.Event[user]) error {
		if e.Payload.Name == "bad" {
			return parley.Park(errors.New("bad name"))
		}
		return nil
	})
	outbox := must(parley.NewOutbox(store, telemetry.Outbox(nil)))
	relay := must(parley.NewRelay(store, telemetry.Publisher(broker), telemetry.Relay(&parley.RelayConfig{Logger: quiet})))
	done := make(chan parley.ConsumerReport, 10)
	consumer := must(parley.NewConsumer(broker, router, telemetry.Consumer(&parley.ConsumerConfig{
		Queue: "q", Logger: quiet, Failures: store.Failures(),
		Topology: parley.Topology{
			Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "q"}},
			Bindings: []parley.Binding{{Queue: "q", Exchange: "user"}},
		},
		Hooks: parley.ConsumerHooks{Done: func(r parley.ConsumerReport) { done <- r }},
	})))
	if err := errors.Join(telemetry.Observe("shop", store), telemetry.ObserveFailures("q", store.Failures())); err != nil {
		t.Fatal(err)
	}
	if err := broker.Declare(ctx, parley.Topology{Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "q"}}, Bindings: []parley.Binding{{Queue: "q", Exchange: "user"}}}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	for _, r := range []parley.Runner{relay, consumer} {
		go func() { ended <- r.Run(ctx) }()
	}
	for _, name := range []string{"Ann", "bad", "Bob"} {
		request, span := tracer.Tracer("test").Start(ctx, "request")
		err := store.InTx(request, func(tx *memory.Tx) error {
			_, err := parley.Publish(request, outbox.In(tx), renamed, user{name})
			return err
		})
		span.End()
		if err != nil {
			t.Fatal(err)
		}
		<-done
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
