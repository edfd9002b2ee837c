package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// A Queue is one of the queues of the settings, with the router of its consumer.
type Queue struct {
	// Name is the name of the queue.
	Name string
	// Router holds the handlers of the queue.
	Router *parley.Router

	service  *Service
	settings settings.Queue
}

// Queue returns the queue called name. Register the handlers of the queue with its Router. Queue panics if the settings have no such queue.
func (s *Service) Queue(name string) *Queue {
	i := slices.IndexFunc(s.queues, func(q *Queue) bool { return q.Name == name })
	if i < 0 {
		var names []string
		for _, q := range s.queues {
			names = append(names, q.Name)
		}
		panic(fmt.Sprintf("service: the settings have no queue %q (add it to queues; there are: %s)", name, cmp.Or(strings.Join(names, ", "), "none")))
	}
	return s.queues[i]
}

// Queues returns the queues whose messages this process handles: those of the settings, or the one that --queue selects.
func (s *Service) Queues() []*Queue {
	var out []*Queue
	for _, run := range s.Settings.RunQueues() {
		out = append(out, s.Queue(run.Name))
	}
	return out
}

// HandledQueues returns those of Queues that have a handler, and logs a warning about each of the others. If none has a handler, it
// returns all: their consumers are errors that say so.
func (s *Service) HandledQueues() []*Queue {
	queues := s.Queues()
	handled := slices.DeleteFunc(slices.Clone(queues), func(q *Queue) bool { return len(q.Router.Routes()) == 0 })
	if len(handled) == 0 {
		return queues
	}
	for _, q := range queues {
		if !slices.Contains(handled, q) {
			s.Logger.Warn("service: queue has no handler, its messages stay in it", "queue", q.Name)
		}
	}
	return handled
}

// openQueues creates the routers. The router of the first queue is Service.Router.
func (s *Service) openQueues() {
	for _, q := range s.Settings.AllQueues() {
		router := parley.NewRouter()
		router.Use(s.Telemetry.Middleware(), inboxOf(q.ConsumerName))
		s.queues = append(s.queues, &Queue{Name: q.Name, Router: router, service: s, settings: q})
	}
	if len(s.queues) > 0 {
		s.Router = s.queues[0].Router
		return
	}
	s.Router = parley.NewRouter()
	s.Router.Use(s.Telemetry.Middleware())
}

type consumerKey struct{}

// inboxOf returns a middleware that makes Service.Inbox keep the identities of consumers apart. An event that two queues of this
// service get has its effect once in each.
func inboxOf(consumer string) parley.Middleware {
	return func(next parley.Handler) parley.Handler {
		return parley.HandlerFunc(func(ctx context.Context, d *parley.Delivery) error {
			return next.Handle(context.WithValue(ctx, consumerKey{}, consumer), d)
		})
	}
}

// consumerOf returns the consumer whose handler runs in ctx, or name outside a handler.
func consumerOf(ctx context.Context, name string) string {
	if own, ok := ctx.Value(consumerKey{}).(string); ok {
		return own
	}
	return name
}

// Consumer returns a consumer of the queue that passes deliveries to Router, with the options of the settings.
func (q *Queue) Consumer() (*parley.Consumer, error) {
	s := q.service
	if err := s.need("broker.url"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	c, own := &s.Settings.Consumer, &q.settings
	cfg := &parley.ConsumerConfig{
		Queue: q.Name, Name: own.ConsumerName, Topology: q.Topology(), Concurrency: own.Concurrency, Prefetch: own.Prefetch,
		ShutdownTimeout: c.ShutdownTimeout, HandlerTimeout: own.HandlerTimeout, MaxBytes: own.MaxBytes, PoisonLimit: own.PoisonLimit,
		StuckAfter: c.StuckAfter, MaxStuck: c.MaxStuck,
		KillSwitch: parley.KillSwitchConfig{Share: c.KillSwitch.Share, Minimum: c.KillSwitch.Minimum, Window: c.KillSwitch.Window},
		Retry:      parley.RetryPolicy{Immediate: own.ImmediateRetries, Delays: own.RetryDelays},
		Secrets:    s.Settings.ConsumerSecrets(), Logger: s.Logger, Control: s.control,
	}
	cfg.Hooks = parley.ConsumerHooks{Subscribed: func(up bool, _ error) {
		if up {
			s.Logger.Info("consumer: subscribed", "queue", q.Name)
		}
	}}.Then(s.traffic.consumerHooks()).Then(s.ConsumerHooks)
	if own.Unhandled == "park" {
		cfg.Unhandled = parley.UnhandledPark
	}
	if c.KillSwitch.Share <= 0 {
		cfg.KillSwitch.Share = neverTrips // 0 in the settings turns the switch off
	}
	if c.StuckAfter <= 0 {
		cfg.StuckAfter = neverReported
	}
	if c.MaxStuck <= 0 {
		cfg.MaxStuck = neverStuck // 0 in the settings turns the limit off
	}
	if s.Settings.FailuresInSQL() {
		cfg.Failures, cfg.FailureRetention = s.db.Failures(), c.Failures.Retention
	}
	cfg.KeyRules = s.Settings.Keys.Rules()
	return parley.NewConsumer(s.Broker, q.Router, s.Telemetry.Consumer(cfg))
}

const (
	neverTrips    = 2.0     // a share above 1
	neverStuck    = 1 << 30 // more handlers than a process can have
	neverReported = 50 * 365 * 24 * time.Hour
)

// Topology returns the exchanges of the settings, the queue and its bindings. With `binds: auto` the bindings are those that the
// handlers of Router need.
func (q *Queue) Topology() parley.Topology {
	t := q.service.Settings.QueueTopology(&q.settings)
	if q.settings.BindsAuto() {
		t.Bindings = q.autoBindings()
	}
	return t
}

// Topology returns the exchanges of the settings, the queues that this process handles, and their bindings.
func (s *Service) Topology() parley.Topology {
	t := s.Settings.RelayTopology()
	for _, q := range s.Queues() {
		own := q.Topology()
		t.Queues, t.Bindings = append(t.Queues, own.Queues...), append(t.Bindings, own.Bindings...)
	}
	return t
}

// autoBindings returns one binding for each exchange and routing key that a handler of the queue is registered for. Handlers for any
// exchange, such as those of replies, get none: AMQP binds one exchange at a time.
func (q *Queue) autoBindings() []parley.Binding {
	var out []parley.Binding
	for _, r := range q.Router.Routes() {
		if r.Exchange != parley.AnyExchange && r.Exchange != "" {
			out = append(out, parley.Binding{Queue: q.Name, Exchange: r.Exchange, RoutingKey: cmp.Or(r.Pattern, "#")})
		}
	}
	return out
}
