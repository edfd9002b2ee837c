package otelparley_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/otelparley"
)

// The gauges of an outbox, as Prometheus reads them.
func Example() {
	ctx := context.Background()
	provider, metrics, err := otelparley.NewPrometheus()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = provider.Shutdown(ctx) }()
	telemetry, err := otelparley.New(&otelparley.Config{MeterProvider: provider})
	if err != nil {
		log.Fatal(err)
	}
	store := memory.NewStore()
	if err := telemetry.Observe("shop", store); err != nil {
		log.Fatal(err)
	}
	outbox, err := parley.NewOutbox(store, telemetry.Outbox(nil))
	if err != nil {
		log.Fatal(err)
	}
	err = store.InTx(ctx, func(tx *memory.Tx) error {
		_, err := parley.Publish(ctx, outbox.In(tx), parley.NewEvent[int]("order", "placed"), 7)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	answer := httptest.NewRecorder()
	metrics.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "parley_outbox_due") {
			fmt.Println(line[:strings.Index(line, "{")], strings.TrimSpace(line[strings.LastIndex(line, " "):]))
		}
	}
	// Output: parley_outbox_due 1
}
