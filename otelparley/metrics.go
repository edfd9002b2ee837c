package otelparley

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/parley-go/parley"
)

// metrics are the instruments. Their names are in OpenTelemetry's form; Prometheus shows
// underscores and unit suffixes (docs/operations.md lists both).
type metrics struct {
	published, unroutable, rejected, refused, parkedRecords, deletedElsewhere, dropped metric.Int64Counter
	publishTime, batchTime                                                             metric.Float64Histogram
	handled                                                                            metric.Int64Counter
	handleTime                                                                         metric.Float64Histogram
	redelivered, stale, paused, stuck, unstored                                        metric.Int64Counter
	kept, retried                                                                      metric.Int64Counter
	subscribed                                                                         metric.Int64UpDownCounter
	state                                                                              metric.Int64Gauge
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var errs []error
	counter := func(name, text string) metric.Int64Counter {
		c, err := m.Int64Counter("parley."+name, metric.WithDescription(text))
		errs = append(errs, err)
		return c
	}
	seconds := func(name, text string) metric.Float64Histogram {
		h, err := m.Float64Histogram("parley."+name, metric.WithUnit("s"), metric.WithDescription(text),
			metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300))
		errs = append(errs, err)
		return h
	}
	x := &metrics{
		published:        counter("relay.published", "Records that the broker accepted and routed to a queue."),
		unroutable:       counter("relay.returned", "Unroutable records."),
		rejected:         counter("relay.rejected", "Records that the broker rejected for now."),
		refused:          counter("relay.refused", "Records that the broker can never accept."),
		parkedRecords:    counter("relay.parked", "Records that were parked."),
		dropped:          counter("relay.dropped", "Unroutable events that were dropped."),
		deletedElsewhere: counter("relay.deleted_elsewhere", "Claimed records that another process deleted."),
		publishTime:      seconds("relay.confirm.duration", "From the first publication of a batch to its last confirmation."),
		batchTime:        seconds("relay.batch.duration", "From claiming a batch to deleting it."),
		handled:          counter("consumer.deliveries", "Deliveries that this process has settled, by outcome."),
		handleTime:       seconds("consumer.handle.duration", "How long handlers took."),
		redelivered:      counter("consumer.redelivered", "Deliveries that the broker had delivered before."),
		stale:            counter("consumer.stale", "Settlements after the end of their session."),
		paused:           counter("consumer.paused", "How often the kill switch paused consumption."),
		stuck:            counter("consumer.stuck", "Handlers that did not return after the end of their context."),
		unstored:         counter("consumer.unstored", "Failed attempts to store a failed delivery; it stays unacked."),
		kept:             counter("failed.kept", "Failed deliveries that were stored in the consumer's database, by state."),
		retried:          counter("failed.retried", "Attempts at failed deliveries of the consumer's database, by outcome."),
	}
	var err error
	x.subscribed, err = m.Int64UpDownCounter("parley.consumer.subscribed", metric.WithDescription("Live subscriptions."))
	errs = append(errs, err)
	x.state, err = m.Int64Gauge("parley.relay.active", metric.WithDescription("1 while this relay is active, 0 while it stands by or backs off."))
	return x, errors.Join(append(errs, err)...)
}

// Relay adds the metrics of a relay to its hooks: a metric is recorded before the hook of cfg is called. A nil cfg means a new one.
func (t *Telemetry) Relay(cfg *parley.RelayConfig) *parley.RelayConfig {
	var c parley.RelayConfig
	if cfg != nil {
		c = *cfg
	}
	ctx, x := context.Background(), t.metrics
	// Counters that start at zero can raise an alert on their first increase.
	here := metric.WithAttributes(attribute.String("outbox", t.outbox))
	for _, counter := range []metric.Int64Counter{x.published, x.unroutable, x.rejected, x.refused, x.parkedRecords, x.deletedElsewhere, x.dropped} {
		counter.Add(ctx, 0, here)
	}
	x.state.Record(ctx, 0, here)
	hooks := parley.RelayHooks{
		Batch: func(b parley.BatchReport) {
			x.published.Add(ctx, int64(b.Accepted), here)
			x.unroutable.Add(ctx, int64(b.Unroutable), here)
			x.rejected.Add(ctx, int64(b.Rejected), here)
			x.refused.Add(ctx, int64(b.Refused), here)
			x.publishTime.Record(ctx, b.Publish.Seconds(), here)
			x.batchTime.Record(ctx, (b.Claim + b.Publish + b.Settle).Seconds(), here)
		},
		Parked: func(r parley.Record, reason string) {
			x.parkedRecords.Add(ctx, 1, here)
		},
		Unroutable: func(_ parley.Record, policy parley.UnroutablePolicy) {
			if policy == parley.UnroutableDrop {
				x.dropped.Add(ctx, 1, here)
			}
		},
		DeletedElsewhere: func(n int) {
			x.deletedElsewhere.Add(ctx, int64(n), here)
		},
		State: func(s parley.RelayState) {
			active := int64(0)
			if s == parley.RelayActive {
				active = 1
			}
			x.state.Record(ctx, active, here)
		},
	}
	c.Hooks = hooks.Then(c.Hooks)
	return &c
}

// outcomes are those whose counters start at zero.
var outcomes = []parley.Outcome{parley.OutcomeHandled, parley.OutcomeRetried, parley.OutcomeParked}

// Consumer adds the metrics of a consumer to its hooks: a metric is recorded before the hook of cfg is called.
func (t *Telemetry) Consumer(cfg *parley.ConsumerConfig) *parley.ConsumerConfig {
	c := *cfg
	ctx, x := context.Background(), t.metrics
	queue := attribute.String("queue", c.Queue)
	here := metric.WithAttributes(queue)
	for _, counter := range []metric.Int64Counter{x.redelivered, x.stale, x.paused, x.stuck, x.unstored} {
		counter.Add(ctx, 0, here)
	}
	x.subscribed.Add(ctx, 0, here)
	for _, o := range outcomes {
		x.handled.Add(ctx, 0, metric.WithAttributes(queue, attribute.String("outcome", string(o))))
	}
	countFailed := t.failedCounters(&c)
	hooks := parley.ConsumerHooks{
		Done: func(r parley.ConsumerReport) {
			x.handled.Add(ctx, 1, metric.WithAttributes(queue, attribute.String("outcome", string(r.Outcome))))
			if r.Attempts > 0 {
				x.handleTime.Record(ctx, r.Took.Seconds(), here)
			}
			if r.Delivery.Redelivered && !r.FromStore { // each attempt at a row is marked as a redelivery
				x.redelivered.Add(ctx, 1, here)
			}
			countFailed(&r)
		},
		Stale: func(d *parley.Delivery) {
			x.stale.Add(ctx, 1, here)
		},
		Unstored: func(d *parley.Delivery, err error) {
			x.unstored.Add(ctx, 1, here)
		},
		Paused: func(cause error) {
			x.paused.Add(ctx, 1, here)
		},
		Stuck: func(d *parley.Delivery, running time.Duration) {
			x.stuck.Add(ctx, 1, here)
		},
		Subscribed: func(up bool, cause error) {
			n := int64(1)
			if !up {
				n = -1
			}
			x.subscribed.Add(ctx, n, here)
		},
	}
	c.Hooks = hooks.Then(c.Hooks)
	return &c
}

// Observe reports the state of an outbox whenever metrics are read: due and scheduled records, the
// age of the oldest due record, and parked records. While the store cannot be read, it reports nothing.
func (t *Telemetry) Observe(name string, store parley.OutboxInspector) error {
	var errs []error
	gauge := func(name, unit, text string) metric.Float64ObservableGauge {
		g, err := t.meter.Float64ObservableGauge("parley.outbox."+name, metric.WithUnit(unit), metric.WithDescription(text))
		errs = append(errs, err)
		return g
	}
	due := gauge("due", "{record}", "Records that are due.")
	oldest := gauge("oldest_due.age", "s", "How long the oldest due record has been due.")
	scheduled := gauge("scheduled", "{record}", "Records that are due later.")
	parked := gauge("parked", "{record}", "Parked records.")
	never := gauge("never_due", "{record}", "Rows that can never become due.")
	here := metric.WithAttributes(attribute.String("outbox", name))
	_, err := t.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		st, err := store.Stats(ctx)
		if err != nil {
			return err
		}
		o.ObserveFloat64(due, float64(st.Due), here)
		o.ObserveFloat64(oldest, st.OldestDue.Seconds(), here)
		o.ObserveFloat64(scheduled, float64(st.Scheduled), here)
		o.ObserveFloat64(parked, float64(st.Parked), here)
		o.ObserveFloat64(never, float64(st.NeverDue), here)
		return nil
	}, due, oldest, scheduled, parked, never)
	return errors.Join(append(errs, err)...)
}

// NewPrometheus returns a meter provider whose metrics the handler serves in Prometheus' text
// format, on a registry of its own, with the metrics of the Go runtime and the process. The options are for further readers, such as an OTLP export. Shut the provider down when the
// process ends.
func NewPrometheus(options ...sdk.Option) (*sdk.MeterProvider, http.Handler, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo())
	if err != nil {
		return nil, nil, err
	}
	return sdk.NewMeterProvider(append([]sdk.Option{sdk.WithReader(reader)}, options...)...), promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
}
