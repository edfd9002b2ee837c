package otelparley

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/parley-go/parley"
)

// ObservePauses reports what operators have paused whenever metrics are read: the number of pauses, and for each one how long ago it
// began. It reads no table. An alert on the age finds forgotten pauses.
func (t *Telemetry) ObservePauses(control *parley.Control) error {
	count, err := t.meter.Int64ObservableGauge("parley.pauses", metric.WithUnit("{pause}"), metric.WithDescription("What operators have paused."))
	age, ageErr := t.meter.Float64ObservableGauge("parley.pause.age", metric.WithUnit("s"), metric.WithDescription("How long ago an operator paused this."))
	_, callbackErr := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		found := control.Pauses()
		o.ObserveInt64(count, int64(len(found)))
		for i := range found {
			kind, name := found[i].Scope()
			o.ObserveFloat64(age, max(0, time.Since(found[i].CreatedAt)).Seconds(), metric.WithAttributes(
				attribute.String("part", string(found[i].Part)), attribute.String("scope", kind), attribute.String("name", name)))
		}
		return nil
	}, count, age)
	return errors.Join(err, ageErr, callbackErr)
}
