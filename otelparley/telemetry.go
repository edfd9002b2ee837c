package otelparley

import (
	"cmp"
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-go/parley"
)

const scope = "github.com/parley-go/parley/otelparley"

// Config configures telemetry.
type Config struct {
	// TracerProvider creates the spans. Default: the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider creates the metrics. Default: the global one.
	MeterProvider metric.MeterProvider
	// Outbox is the label "outbox" of the metrics of relays, so that alerts keep services apart. It should be the name given to Observe.
	// Default: "outbox".
	Outbox string
}

// Telemetry creates spans and metrics. It is safe for concurrent use.
type Telemetry struct {
	tracer     trace.Tracer
	meter      metric.Meter
	propagator propagation.TraceContext
	metrics    *metrics
	outbox     string
}

// New returns telemetry. A nil cfg means the global providers.
func New(cfg *Config) (*Telemetry, error) {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	t := &Telemetry{tracer: c.TracerProvider.Tracer(scope), meter: c.MeterProvider.Meter(scope), outbox: cmp.Or(c.Outbox, "outbox")}
	var err error
	if t.metrics, err = newMetrics(t.meter); err != nil {
		return nil, fmt.Errorf("otelparley: %w", err)
	}
	return t, nil
}

// Outbox adds the trace context to the messages of an outbox. A nil cfg means a new one.
func (t *Telemetry) Outbox(cfg *parley.OutboxConfig) *parley.OutboxConfig {
	var c parley.OutboxConfig
	if cfg != nil {
		c = *cfg
	}
	other := c.Propagate
	c.Propagate = func(ctx context.Context, set func(name, value string)) {
		t.propagator.Inject(ctx, setter(set))
		if other != nil {
			other(ctx, set)
		}
	}
	return &c
}

// A setter is a write-only carrier.
type setter func(name, value string)

func (s setter) Get(string) string      { return "" }
func (s setter) Set(name, value string) { s(name, value) }
func (s setter) Keys() []string         { return nil }

// headers is a carrier over the headers of a message.
type headers struct{ m *parley.Message }

func (h headers) Get(name string) string { return h.m.Header(name) }
func (h headers) Set(name, value string) { h.m.SetHeader(name, value) }
func (h headers) Keys() []string         { return []string{parley.HeaderTraceParent, parley.HeaderTraceState} }

// Middleware runs each handler in a span that continues the sender's trace. The span is an error if the handler fails or panics, not if
// it ignores the delivery; see [parley.Ignored].
func (t *Telemetry) Middleware() parley.Middleware {
	return func(next parley.Handler) parley.Handler {
		return parley.HandlerFunc(func(ctx context.Context, d *parley.Delivery) error {
			ctx = t.propagator.Extract(ctx, headers{&d.Message})
			ctx, span := t.tracer.Start(ctx, "handle "+d.Exchange, trace.WithSpanKind(trace.SpanKindConsumer),
				trace.WithAttributes(append(messageAttributes(&d.Message),
					attribute.String("messaging.operation.type", "process"),
					attribute.String("messaging.destination.subscription.name", d.Queue),
					attribute.Int("parley.attempt", d.Attempt))...))
			returned := false
			defer func() {
				if !returned { // the consumer recovers the panic
					span.SetStatus(codes.Error, "handler panicked or ended its goroutine")
				}
				span.End()
			}()
			err := next.Handle(ctx, d)
			returned = true
			if err != nil && !parley.Ignored(err) {
				span.RecordError(err)
				span.SetStatus(codes.Error, "handler failed")
			}
			return err
		})
	}
}

// messageAttributes follow the semantic conventions for messaging.
func messageAttributes(m *parley.Message) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "rabbitmq"),
		attribute.String("messaging.destination.name", m.Exchange),
		attribute.String("messaging.rabbitmq.destination.routing_key", m.RoutingKey),
		attribute.String("messaging.message.id", m.ID),
		attribute.String("messaging.message.conversation_id", m.CorrelationID),
	}
}

// Publisher returns pub with a span for each message that carries a trace. The handler's span becomes
// its child, so that the time in the outbox and the time in the queue are separate. Pass
// it to a relay, or to Send.
func (t *Telemetry) Publisher(pub parley.Publisher) parley.Publisher { return &publisher{pub, t} }

type publisher struct {
	parley.Publisher
	t *Telemetry
}

// Declare implements parley.Declarer if the wrapped publisher does.
func (p *publisher) Declare(ctx context.Context, topology parley.Topology) error {
	if d, ok := p.Publisher.(parley.Declarer); ok {
		return d.Declare(ctx, topology)
	}
	return fmt.Errorf("otelparley: a %T cannot declare", p.Publisher)
}

// Publish implements parley.Publisher.
func (p *publisher) Publish(ctx context.Context, messages []parley.Message) []error {
	spans := make([]trace.Span, len(messages))
	for i := range messages {
		spans[i] = p.start(ctx, &messages[i])
	}
	outcomes := p.Publisher.Publish(ctx, messages)
	for i, span := range spans {
		if span == nil {
			continue
		}
		if outcomes != nil && outcomes[i] != nil {
			span.RecordError(outcomes[i])
			span.SetStatus(codes.Error, "not accepted")
		}
		span.End()
	}
	return outcomes
}

// start begins the span of a message, within its trace or else the caller's.
func (p *publisher) start(ctx context.Context, m *parley.Message) trace.Span {
	if m.Header(parley.HeaderTraceParent) != "" {
		ctx = p.t.propagator.Extract(ctx, headers{m})
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	clone := make(map[string]any, len(m.Headers)+2)
	for name, value := range m.Headers {
		clone[name] = value
	}
	m.Headers = clone
	ctx, span := p.t.tracer.Start(ctx, "publish "+m.Exchange, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(append(messageAttributes(m), attribute.String("messaging.operation.type", "send"))...))
	p.t.propagator.Inject(ctx, headers{m})
	return span
}
