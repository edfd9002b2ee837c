package otelparley

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/parley-go/parley"
)

// failuresFresh is how long counts of a table of failed deliveries are cached: several collectors may
// read the metrics, and each count costs the database some work.
const failuresFresh = 10 * time.Second

// ObserveFailures reports the failed deliveries of a consumer whenever metrics are read. It reports their number by state, how
// overdue the oldest due retry is, and how long the oldest parked one has been parked. The table is read at most every 10s.
func (t *Telemetry) ObserveFailures(consumer string, store parley.FailureOperator) error {
	var errs []error
	count, err := t.meter.Int64ObservableGauge("parley.failed", metric.WithUnit("{message}"),
		metric.WithDescription("Failed deliveries in the consumer's database, by state; at most 10,000 are counted."))
	errs = append(errs, err)
	age, err := t.meter.Float64ObservableGauge("parley.failed.oldest.age", metric.WithUnit("s"),
		metric.WithDescription("How long the oldest waiting delivery has been due, and the oldest parked one has been parked."))
	errs = append(errs, err)
	name := attribute.String("consumer", consumer)
	in := func(state parley.FailureState) metric.MeasurementOption {
		return metric.WithAttributes(name, attribute.String("state", string(state)))
	}
	counts := cachedStats{consumer: consumer, store: store}
	_, err = t.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		st, err := counts.get(ctx)
		if err != nil {
			return err
		}
		o.ObserveInt64(count, st.Waiting, in(parley.FailureWaiting))
		o.ObserveInt64(count, st.Behind, in(parley.FailureBehind))
		o.ObserveInt64(count, st.Running, in(parley.FailureRunning))
		o.ObserveInt64(count, st.Parked, in(parley.FailureParked))
		o.ObserveFloat64(age, st.OldestWaiting.Seconds(), in(parley.FailureWaiting))
		o.ObserveFloat64(age, st.OldestParked.Seconds(), in(parley.FailureParked))
		return nil
	}, count, age)
	return errors.Join(append(errs, err)...)
}

// cachedStats caches counts for a moment.
type cachedStats struct {
	consumer string
	store    parley.FailureOperator

	// mu guards the fields below
	mu    sync.Mutex
	stats parley.FailureStats
	until time.Time
}

// get returns counts that are at most failuresFresh old. Concurrent collectors share one query.
func (c *cachedStats) get(ctx context.Context) (parley.FailureStats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.stats, nil
	}
	st, err := c.store.Stats(ctx, c.consumer)
	if err != nil {
		return st, err // old counts are not reported
	}
	c.stats, c.until = st, time.Now().Add(failuresFresh)
	return st, nil
}

// failedCounters returns a function that counts the failed deliveries that a consumer stores in its database, and their outcomes.
func (t *Telemetry) failedCounters(cfg *parley.ConsumerConfig) func(r *parley.ConsumerReport) {
	if cfg.Failures == nil {
		return func(*parley.ConsumerReport) {}
	}
	name := cfg.Name
	if name == "" {
		name = cfg.Queue
	}
	ctx, consumer := context.Background(), attribute.String("consumer", name)
	states := map[parley.Outcome]metric.MeasurementOption{}
	for outcome, state := range map[parley.Outcome]parley.FailureState{
		parley.OutcomeRetried: parley.FailureWaiting, parley.OutcomeBehind: parley.FailureBehind, parley.OutcomeParked: parley.FailureParked,
	} {
		states[outcome] = metric.WithAttributes(consumer, attribute.String("state", string(state)))
		t.metrics.kept.Add(ctx, 0, states[outcome])
	}
	t.metrics.retried.Add(ctx, 0, metric.WithAttributes(consumer, attribute.String("outcome", string(parley.OutcomeHandled))))
	return func(r *parley.ConsumerReport) {
		if r.FromStore {
			t.metrics.retried.Add(ctx, 1, metric.WithAttributes(consumer, attribute.String("outcome", string(r.Outcome))))
		} else if state, ok := states[r.Outcome]; ok {
			t.metrics.kept.Add(ctx, 1, state)
		}
	}
}
