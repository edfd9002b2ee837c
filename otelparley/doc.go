// Package otelparley connects parley to OpenTelemetry. It creates one trace from the publisher's span through
// the relay to the handler, and metrics that show what is stuck. [NewPrometheus] serves
// the metrics to Prometheus.
//
//	telemetry, err := otelparley.New(nil)
//	outbox, err := parley.NewOutbox(store, telemetry.Outbox(nil))
//	relay, err := parley.NewRelay(store, telemetry.Publisher(broker), telemetry.Relay(nil))
//	router.Use(telemetry.Middleware())
//	consumer, err := parley.NewConsumer(broker, router, telemetry.Consumer(cfg))
//	err = telemetry.Observe("shop", store)
//
// Attributes are names and ids only, never bodies.
package otelparley
