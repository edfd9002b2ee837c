package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/parley-go/parley/otelparley"
)

// openTelemetry opens metrics and traces as the settings say, and creates the routers of the queues.
func (s *Service) openTelemetry() error {
	cfg := &otelparley.Config{Outbox: cmp.Or(s.Settings.AppID, "outbox")}
	options, err := s.metricOptions()
	if err != nil {
		return fmt.Errorf("telemetry.otlp: %w", err)
	}
	switch {
	case s.Settings.HTTP.Metrics:
		var handler http.Handler
		if s.meters, handler, err = otelparley.NewPrometheus(options...); err != nil {
			return fmt.Errorf("open metrics: %w", err)
		}
		s.handle(route{"GET /metrics", handler, "http.metrics"})
	case s.Settings.Telemetry.OTLP != "":
		s.meters = sdk.NewMeterProvider(options...)
	}
	if s.meters != nil {
		cfg.MeterProvider = s.meters
		s.shutTelemetry = append(s.shutTelemetry, s.meters.Shutdown)
	}
	if s.Settings.Telemetry.OTLP != "" {
		traces, err := s.openTraces()
		if err != nil {
			return fmt.Errorf("telemetry.otlp: %w", err)
		}
		cfg.TracerProvider = traces
		s.shutTelemetry = append(s.shutTelemetry, traces.Shutdown)
	}
	if s.Telemetry, err = otelparley.New(cfg); err != nil {
		return err
	}
	s.openQueues()
	return nil
}

// endpoint returns the address of a signal at the collector.
func (s *Service) endpoint(signal string) string {
	return strings.TrimSuffix(s.Settings.Telemetry.OTLP, "/") + "/v1/" + signal
}

// resource names the service in traces and metrics.
func (s *Service) resource() *resource.Resource {
	return resource.NewSchemaless(attribute.String("service.name", cmp.Or(s.Settings.AppID, "parley")))
}

// metricOptions returns the name of the service and, with telemetry.otlp, the export of metrics every minute.
func (s *Service) metricOptions() ([]sdk.Option, error) {
	named := []sdk.Option{sdk.WithResource(s.resource())}
	if s.Settings.Telemetry.OTLP == "" {
		return named, nil
	}
	exporter, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(s.endpoint("metrics")))
	if err != nil {
		return nil, err
	}
	return append(named, sdk.WithReader(sdk.NewPeriodicReader(exporter))), nil
}

// openTraces exports traces to telemetry.otlp.
func (s *Service) openTraces() (*trace.TracerProvider, error) {
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(s.endpoint("traces")))
	if err != nil {
		return nil, err
	}
	share := max(s.Settings.Telemetry.Sample, 0)
	return trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(s.resource()),
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(share)))), nil
}

// exportTimeout is how long the last export may take.
const exportTimeout = 2 * time.Second

// closeTelemetry exports what is left. The metrics include counts of the database, so it must be open. An unreachable collector does
// not make a process fail.
func (s *Service) closeTelemetry(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	var errs []error
	for _, shut := range s.shutTelemetry {
		errs = append(errs, shut(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		s.Logger.Warn("service: exporting telemetry failed", "err", s.Settings.Redact(err))
	}
}
