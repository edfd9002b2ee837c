package otelparley_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/otelparley"
)

// scrapePauses returns the metrics of a process, a minute after a relay was paused.
func scrapePauses(t *testing.T) (page string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memory.NewStore()
		control := must(parley.NewControl(store, nil))
		if _, err := store.SetPause(t.Context(), parley.Pause{Part: parley.PauseRelay, Exchange: "shop"}, time.Hour); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- control.Run(ctx) }()
		time.Sleep(time.Minute)
		provider, handler, err := otelparley.NewPrometheus()
		if err != nil {
			t.Fatal(err)
		}
		telemetry := must(otelparley.New(&otelparley.Config{MeterProvider: provider}))
		if err := telemetry.ObservePauses(control); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		page = w.Body.String()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return page
}

func TestPausesAreInTheMetricsWithTheirAge(t *testing.T) {
	page := scrapePauses(t)
	for _, want := range []string{"parley_pauses 1", `parley_pause_age_seconds{name="shop",part="relay",scope="exchange"} 60`} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no line %q in\n%s", want, page)
		}
	}
}
