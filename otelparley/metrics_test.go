package otelparley_test

import (
	"context"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-go/parley/otelparley"
	"go.opentelemetry.io/otel/sdk/trace"
)

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
		`parley_relay_published_total 3`,
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
	page := scrape(t)
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
