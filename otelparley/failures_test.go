package otelparley_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/otelparley"
)

// countedStats counts how often the table is read.
type countedStats struct {
	parley.FailureOperator
	reads int
}

func (c *countedStats) Stats(ctx context.Context, consumer string) (parley.FailureStats, error) {
	c.reads++
	return c.FailureOperator.Stats(ctx, consumer)
}

// keepSome keeps two waiting failures, one of them overdue by a minute, and a parked one.
func keepSome(t *testing.T, store parley.FailureStore, consumer string) {
	t.Helper()
	_, err := store.Keep(t.Context(), consumer, []parley.Failure{
		{Message: parley.Message{Exchange: "user", Body: []byte("{}")}, State: parley.FailureWaiting},
		{Message: parley.Message{Exchange: "user", Body: []byte("{}")}, State: parley.FailureWaiting, After: time.Hour},
		{Message: parley.Message{Exchange: "user", Body: []byte("{}")}, State: parley.FailureParked},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedDeliveriesAreCountedByStateAndReadAtMostEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.NewStore()
		keepSome(t, store.Failures(), "orders")
		keepSome(t, store.Failures(), "others")
		time.Sleep(time.Minute)
		provider, handler, err := otelparley.NewPrometheus()
		if err != nil {
			t.Fatal(err)
		}
		table := &countedStats{FailureOperator: store.Failures()}
		telemetry := must(otelparley.New(&otelparley.Config{MeterProvider: provider}))
		if err := telemetry.ObserveFailures("orders", table); err != nil {
			t.Fatal(err)
		}
		page := ""
		for range 3 {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
			page = w.Body.String()
		}
		for _, want := range []string{
			`parley_failed{consumer="orders",state="waiting"} 2`,
			`parley_failed{consumer="orders",state="behind"} 0`,
			`parley_failed{consumer="orders",state="running"} 0`,
			`parley_failed{consumer="orders",state="parked"} 1`,
			`parley_failed_oldest_age_seconds{consumer="orders",state="waiting"} 60`,
			`parley_failed_oldest_age_seconds{consumer="orders",state="parked"} 60`,
		} {
			if !strings.Contains(page, want+"\n") {
				t.Errorf("no line %q in\n%s", want, page)
			}
		}
		if table.reads != 1 {
			t.Errorf("3 collections within a second read the table %d times, want once", table.reads)
		}
		time.Sleep(11 * time.Second)
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		if table.reads != 2 {
			t.Errorf("after 11s the table was read %d times, want twice", table.reads)
		}
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWhatAConsumerKeepsAndRetriesIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, handler, err := otelparley.NewPrometheus()
		if err != nil {
			t.Fatal(err)
		}
		telemetry := must(otelparley.New(&otelparley.Config{MeterProvider: provider}))
		store, broker, router := memory.NewStore(), memory.NewBroker(nil), parley.NewRouter()
		failures := 0
		router.Handle("user", "", parley.HandlerFunc(func(_ context.Context, d *parley.Delivery) error {
			if failures++; failures <= 2 {
				return errors.New("not yet")
			}
			return nil
		}))
		done := make(chan parley.ConsumerReport, 10)
		consumer := must(parley.NewConsumer(broker, router, telemetry.Consumer(&parley.ConsumerConfig{
			Queue: "q", Name: "orders", Logger: quiet, Failures: store.Failures(),
			Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second, time.Second}},
			Topology: parley.Topology{
				Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "q"}}, Bindings: []parley.Binding{{Queue: "q", Exchange: "user"}},
			},
			Hooks: parley.ConsumerHooks{Done: func(r parley.ConsumerReport) { done <- r }},
		})))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- consumer.Run(ctx) }()
		synctest.Wait()
		if errs := broker.Publish(ctx, []parley.Message{{Exchange: "user", RoutingKey: "k", ID: "1", Body: []byte("{}")}}); errs != nil {
			t.Fatal(errs)
		}
		for outcome := parley.OutcomeRetried; outcome != parley.OutcomeHandled; {
			outcome = (<-done).Outcome
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		for _, want := range []string{
			`parley_failed_kept_total{consumer="orders",state="waiting"} 1`, `parley_failed_kept_total{consumer="orders",state="parked"} 0`,
			`parley_failed_retried_total{consumer="orders",outcome="retried"} 1`, `parley_failed_retried_total{consumer="orders",outcome="handled"} 1`,
			`parley_consumer_unstored_total{queue="q"} 0`,
		} {
			if !strings.Contains(w.Body.String(), want+"\n") {
				t.Errorf("no line %q in\n%s", want, w.Body)
			}
		}
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
