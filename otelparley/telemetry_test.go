package otelparley_test

import (
	"context"
	"strings"
	"testing"

	"github.com/parley-go/parley/otelparley"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

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
