package otelparley_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/otelparley"
)

func TestASpanIsAnErrorIfItsHandlerFailsOrPanicsAndNotIfItsMessageIsIgnored(t *testing.T) {
	fails := func(err error) func() error { return func() error { return err } }
	for name, c := range map[string]struct {
		handle func() error
		want   codes.Code
	}{
		"nil":       {fails(nil), codes.Unset},
		"ignored":   {fails(parley.Ignore(errors.New("not mine"))), codes.Unset},
		"duplicate": {fails(parley.Ignore(parley.ErrDuplicate)), codes.Unset},
		"expired":   {fails(parley.Ignore(parley.ErrExpired)), codes.Unset},
		"an error":  {fails(errors.New("down")), codes.Error},
		"parked":    {fails(parley.Park(errors.New("bad"))), codes.Error},
		"a panic":   {func() error { panic("poison") }, codes.Error},
	} {
		recorded := tracetest.NewSpanRecorder()
		tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorded))
		h := must(otelparley.New(&otelparley.Config{TracerProvider: tracer})).Middleware()(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return c.handle() }))
		func() {
			defer func() {
				if v := recover(); (v != nil) != (name == "a panic") {
					t.Errorf("%s: the consumer recovers %v", name, v)
				}
			}()
			if err := h.Handle(t.Context(), &parley.Delivery{}); name != "nil" && err == nil {
				t.Errorf("%s: the error is lost", name)
			}
		}()
		spans := recorded.Ended()
		if len(spans) != 1 {
			t.Fatalf("%s: %d spans, want one", name, len(spans))
		}
		if got := spans[0].Status().Code; got != c.want {
			t.Errorf("%s: the status of the span is %v, want %v", name, got, c.want)
		}
		if err := tracer.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestARetryFromTheTableIsNoRedelivery(t *testing.T) {
	provider, handler, err := otelparley.NewPrometheus()
	if err != nil {
		t.Fatal(err)
	}
	done := must(otelparley.New(&otelparley.Config{MeterProvider: provider})).Consumer(&parley.ConsumerConfig{Queue: "q"}).Hooks.Done
	again := &parley.Delivery{}
	again.Redelivered = true
	done(parley.ConsumerReport{Delivery: again, Outcome: parley.OutcomeHandled, FromStore: true})
	done(parley.ConsumerReport{Delivery: again, Outcome: parley.OutcomeHandled})
	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if want := `parley_consumer_redelivered_total{queue="q"} 1`; !strings.Contains(page.Body.String(), want+"\n") {
		t.Errorf("no line %q in\n%s", want, page.Body)
	}
	if err := provider.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
