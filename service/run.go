package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/sleep"
)

// A Part is a part of a service that Run can run. Parts are combined with |.
type Part int

const (
	// PartRelay publishes the records of the outbox.
	PartRelay Part = 1 << iota
	// PartConsumer handles messages and sweeps the inbox.
	PartConsumer
)

// Run runs the parts, the runners of Add and the health endpoints. It shuts down gracefully and returns nil when ctx ends or the
// process gets SIGINT or SIGTERM. A second signal after more than a second ends the process immediately. With database.migrate, Run
// applies pending migrations first. The health endpoints answer meanwhile: the process is alive and not ready. Handlers of HandleHTTP
// answer with status 503 until the tables are up to date.
func (s *Service) Run(ctx context.Context, parts Part) error {
	first, runners, err := s.runners(parts)
	if err != nil {
		return err
	}
	if s.migrates() {
		s.preparing.Store(databaseUnreachable)
	}
	rest := parley.RunnerFunc(func(ctx context.Context) error {
		if err := s.Prepare(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		s.Logger.Info("service: started", "app_id", s.Settings.AppID, "database", s.Settings.Database.URL, "broker", s.Settings.BrokerName())
		defer s.Logger.Info("service: stopped", "app_id", s.Settings.AppID)
		return together(ctx, runners)
	})
	return parley.Run(ctx, parley.RunnerFunc(func(ctx context.Context) error { return together(ctx, append(first, rest)) }))
}

// Parts returns the parts that the service has: a relay if it has a database, a consumer if it has a handler. It returns an error
// if there are no parts and no added runners.
func (s *Service) Parts() (Part, error) {
	var parts Part
	if s.db != nil {
		parts |= PartRelay
	}
	switch {
	case s.handles():
		parts |= PartConsumer
	default:
		s.Logger.Warn("service: no handler is registered, running without a consumer")
	}
	if parts == 0 && len(s.added) == 0 {
		return 0, fmt.Errorf("nothing to run: no handler is registered and no database is configured: %w", s.Settings.Need("database.url"))
	}
	return parts, nil
}

// handles reports whether a handler is registered, in any router.
func (s *Service) handles() bool {
	return len(s.Router.Routes()) > 0 || slices.ContainsFunc(s.queues, func(q *Queue) bool { return len(q.Router.Routes()) > 0 })
}

// Prepare applies pending migrations if database.migrate is set. Run calls it. While the database is unreachable, Prepare retries
// with backoff. A failed migration is an error.
func (s *Service) Prepare(ctx context.Context) error {
	if !s.migrates() {
		return nil
	}
	s.preparing.Store(databaseUnreachable)
	defer s.preparing.Store("")
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := s.db.Ping(ctx)
		if err == nil || errors.Is(err, errBusy) {
			s.preparing.Store(databaseMigrating)
			return s.Migrate(ctx)
		}
		if ctx.Err() == nil {
			s.Logger.Warn("service: database unreachable or read-only, retrying", "err", s.Settings.Redact(err))
		}
		if !sleep.For(ctx, pause) {
			return nil
		}
	}
}

// migrates reports whether Prepare applies migrations.
func (s *Service) migrates() bool { return s.Settings.Database.Migrate && s.db != nil }

// runners returns everything that Run runs: what it starts at once, and what it starts when the tables are up to date.
func (s *Service) runners(parts Part) (first, out []parley.Runner, err error) {
	var errs []error
	h := &health{service: s}
	if parts&PartRelay != 0 {
		t := s.Settings.RelayTopology()
		if parts&PartConsumer != 0 {
			// The relay declares the queue before it publishes: an event without a bound queue is dropped. A broker in the process
			// has lost the queue of the last run.
			t = s.Topology()
		}
		r, err := s.relay(t)
		errs = append(errs, err)
		out, h.relay = append(out, r), r
	}
	if parts&PartConsumer != 0 {
		consumers, err := s.consumers()
		errs = append(errs, err)
		for i := range consumers {
			out, h.consumers = append(out, consumers[i].Consumer), append(h.consumers, consumers[i])
		}
		s.warnUnbound()
		for _, inbox := range s.sweeps {
			out = append(out, inbox)
		}
	}
	s.process.Store(s.processOf(h.relay, h.consumers))
	if s.db != nil && parts != 0 {
		out = append(out, &actionSweeper{log: s.db, retention: s.Settings.Database.ActionLogRetention, logger: s.Logger})
	}
	for _, n := range s.added {
		out = append(out, s.run(n))
	}
	if s.Settings.HTTP.Address != "" {
		first = append(first, h)
	} else if len(s.routes) > 0 {
		s.Logger.Warn("service: HTTP handlers registered but not served (set http.address)", "handlers", len(s.routes))
	}
	if s.Settings.Console.Address != "" {
		c, err := s.ConsoleServer()
		errs = append(errs, err)
		out = append(out, c)
	}
	return first, out, errors.Join(errs...)
}

// A consumer is a consumer with its queue.
type consumer struct {
	*parley.Consumer
	queue string
}

// consumers returns the consumers of all queues that have a handler. At least one must have one.
func (s *Service) consumers() (out []consumer, err error) {
	if err := s.need("broker.url", "queue"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	for _, q := range s.HandledQueues() {
		c, err := q.Consumer()
		if err != nil {
			return nil, fmt.Errorf("service: queue %q: %w", q.Name, err)
		}
		out = append(out, consumer{c, q.Name})
	}
	return out, nil
}

// together runs all runners. When one returns, it stops the others.
func together(ctx context.Context, runners []parley.Runner) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, len(runners))
	for _, r := range runners {
		go func() { done <- r.Run(ctx) }() // joined below
	}
	var errs []error
	for range runners {
		errs = append(errs, <-done)
		cancel()
	}
	return errors.Join(errs...)
}

// Apply declares or verifies exchanges, queue and bindings, as the setting topology says. A consumer does so when it starts. Call
// Apply earlier if events published before that must reach the queue.
func (s *Service) Apply(ctx context.Context) error {
	if err := s.need("broker.url"); err != nil {
		return fmt.Errorf("service: %w", err)
	}
	if err := s.Broker.Declare(ctx, s.Topology()); err != nil {
		return fmt.Errorf("service: %w", s.Settings.Redact(err))
	}
	return nil
}
