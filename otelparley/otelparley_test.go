package otelparley_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/otelparley"
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

func TestOneTraceLinksThePublisherToTheHandlerThroughTheRelay(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorded))
	run(t, must(otelparley.New(&otelparley.Config{TracerProvider: tracer})), tracer)
	if err := tracer.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	traces := map[string]map[string]trace.ReadOnlySpan{}
	for _, span := range recorded.Ended() {
		id := span.SpanContext().TraceID().String()
		if traces[id] == nil {
			traces[id] = map[string]trace.ReadOnlySpan{}
		}
		traces[id][span.Name()] = span
	}
	if len(traces) != 3 {
		t.Fatalf("%d traces, want one for each of 3 events", len(traces))
	}
	for id, spans := range traces {
		request, publish, handle := spans["request"], spans["publish user"], spans["handle user"]
		if request == nil || publish == nil || handle == nil {
			t.Fatalf("trace %s has only %v", id, spans)
		}
		if publish.Parent().SpanID() != request.SpanContext().SpanID() || handle.Parent().SpanID() != publish.SpanContext().SpanID() {
			t.Errorf("trace %s: the handler's span is not a descendant of the request's and the relay's spans", id)
		}
		for _, a := range handle.Attributes() {
			if a.Value.Type() == attribute.STRING && strings.Contains(a.Value.AsString(), "Ann") {
				t.Errorf("attribute %s contains a part of the body", a.Key)
			}
		}
	}
}

// scrape returns the metrics that Prometheus would read after a run.
func scrape(t *testing.T) string {
	t.Helper()
	provider, handler, err := otelparley.NewPrometheus()
	if err != nil {
		t.Fatal(err)
	}
	tracer := trace.NewTracerProvider()
	run(t, must(otelparley.New(&otelparley.Config{MeterProvider: provider, TracerProvider: tracer})), tracer)
	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if err := provider.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	return page.Body.String()
}

func TestMetricsAreRightToTheCount(t *testing.T) {
	page := scrape(t)
	for _, want := range []string{
		`parley_relay_published_total{outbox="outbox"} 3`,
		`parley_relay_active{outbox="outbox"} 0`,
		`parley_relay_dropped_total{outbox="outbox"} 0`,
		`parley_consumer_deliveries_total{outcome="retried",queue="q"} 0`,
		`# TYPE go_goroutines gauge`,
		`parley_consumer_deliveries_total{outcome="handled",queue="q"} 2`,
		`parley_consumer_deliveries_total{outcome="parked",queue="q"} 1`,
		`parley_consumer_handle_duration_seconds_count{queue="q"} 3`,
		`parley_consumer_subscribed{queue="q"} 0`,
		`parley_outbox_due{outbox="shop"} 0`,
		`parley_outbox_scheduled{outbox="shop"} 0`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no line %q in\n%s", want, page)
		}
	}
}

func TestDashboardAndAlertsNameMetricsThatExist(t *testing.T) {
	page := scrape(t) + scrapePauses(t)
	names := regexp.MustCompile(`parley_[a-z_]+`)
	for _, file := range []string{"dashboard.json", "alerts.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := names.FindAllString(string(text), -1)
		if len(found) < 5 {
			t.Errorf("%s names %d metrics", file, len(found))
		}
		for _, name := range found {
			if !strings.Contains(page, name) {
				t.Errorf("%s names %s, which is not exported", file, name)
			}
		}
	}
}
