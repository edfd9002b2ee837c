package service

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// A collector counts the bytes that it gets by path.
type collector struct {
	mu     sync.Mutex // guards the field below
	bodies map[string]string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies[r.URL.Path] += string(body)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// collect runs one handler in a service that exports to a collector, and returns what the collector got.
func collect(t *testing.T, with settings.Telemetry, metrics bool) map[string]string {
	t.Helper()
	c := &collector{bodies: map[string]string{}}
	server := httptest.NewServer(c)
	with.OTLP = server.URL
	in := &settings.Settings{AppID: "shop-under-test", Telemetry: with, Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: "memory:"}, Queue: "q"}
	if metrics {
		in.HTTP = settings.HTTP{Address: "127.0.0.1:0", Metrics: true}
	}
	serve(t, in, 1, func(s *Service, done func()) {
		s.Router.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error {
			done()
			return nil
		}))
		if err := s.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, err := range s.Broker.Publish(t.Context(), []parley.Message{{RoutingKey: "q", Body: []byte("{}")}}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	server.Close()
	return c.bodies
}

func TestTracesAndMetricsReachTheCollector(t *testing.T) {
	for _, metrics := range []bool{false, true} {
		got := collect(t, settings.Telemetry{}, metrics)
		if !strings.Contains(got["/v1/traces"], "shop-under-test") {
			t.Errorf("http.metrics %v: no trace of the service arrived (%d bytes)", metrics, len(got["/v1/traces"]))
		}
		if body := got["/v1/metrics"]; !strings.Contains(body, "shop-under-test") || !strings.Contains(body, "parley.consumer.deliveries") {
			t.Errorf("http.metrics %v: no metrics of the service arrived (%d bytes)", metrics, len(body))
		}
	}
}

func TestASampleOfNothingExportsNoTraces(t *testing.T) {
	got := collect(t, settings.Telemetry{Sample: -1}, false) // 0 in a file
	if len(got["/v1/traces"]) > 0 {
		t.Errorf("traces arrived: %d bytes", len(got["/v1/traces"]))
	}
	if len(got["/v1/metrics"]) == 0 {
		t.Error("no metrics arrived")
	}
}

func TestAnUnreachableCollectorDoesNotMakeAServiceFail(t *testing.T) {
	var log syncBuffer
	s, err := Open(&settings.Settings{AppID: "shop", Telemetry: settings.Telemetry{OTLP: "http://127.0.0.1:1"}, Database: settings.Database{URL: "memory:"}}, &Config{LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close returns %v", err)
	}
	if !strings.Contains(log.String(), "service: exporting telemetry failed") {
		t.Errorf("the failure is not logged: %s", &log)
	}
}
