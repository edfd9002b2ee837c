package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/parley-go/parley/rest"
)

func TestEachAttemptIsASpanWithOtelhttpAsTransport(t *testing.T) {
	var rec recorder
	var count atomic.Int64
	s := serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login" && count.Add(1) == 1 {
			answer(w, 503, "")
			return
		}
		answer(w, 200, `{"access_token":"t"}`)
	}))
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	base, err := rest.NewTransport(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(base.CloseIdleConnections)
	var hooked atomic.Int64
	c := client(t, rest.Config{
		Host: s.URL, AuthURL: "login", Username: "u", Password: "p",
		Transport: otelhttp.NewTransport(base, otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(propagation.TraceContext{})),
		Hooks:     rest.Hooks{Attempt: func(context.Context, rest.Attempt) { hooked.Add(1) }},
	})
	ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
	if _, err := rest.Get[any](ctx, c, "x"); err != nil {
		t.Fatal(err)
	}
	parent.End()
	requests := rec.take()
	if len(requests) != 3 || hooked.Load() != 3 || len(spans.Ended()) != 4 {
		t.Fatalf("%d requests, %d hooks, %d spans, want 3 and the parent", len(requests), hooked.Load(), len(spans.Ended()))
	}
	trace := parent.SpanContext().TraceID().String()
	ids := map[string]bool{}
	for _, r := range requests {
		var version, traceID, spanID, flags string
		_, _ = fmt.Sscanf(r.header.Get("Traceparent"), "%2s-%32s-%16s-%2s", &version, &traceID, &spanID, &flags)
		if ids[spanID] = true; traceID != trace {
			t.Errorf("%s carries trace %s, want %s", r.target, traceID, trace)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d different spans on the wire, want 3", len(ids))
	}
}
