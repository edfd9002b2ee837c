package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// Part is what Run may run.
type Part int

const (
	// PartRelay moves the outbox to the broker.
	PartRelay Part = 1 << iota
	// PartConsumer handles messages, and sweeps the inbox.
	PartConsumer
)

// Run runs the parts and the health endpoints until ctx ends or the process gets SIGINT or
// SIGTERM; then it stops cleanly and returns nil. A second signal ends the process at
// once. With database.migrate it brings the tables up to date first.
func (s *Service) Run(ctx context.Context, parts Part) error {
	runners, err := s.runners(parts)
	if err != nil {
		return err
	}
	return parley.Run(ctx, parley.RunnerFunc(func(ctx context.Context) error {
		if err := s.prepare(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		s.Logger.Info("service: runs", "app_id", s.Settings.AppID, "database", s.Settings.Database.URL, "broker", s.Settings.brokerName())
		defer s.Logger.Info("service: stopped", "app_id", s.Settings.AppID)
		return together(ctx, runners)
	}))
}

// prepare brings the tables up to date, if that is wanted. It waits for a database that is
// away, as relay and consumer do; a migration that fails is an error.
func (s *Service) prepare(ctx context.Context) error {
	if !s.Settings.Database.Migrate || s.db == nil {
		return nil
	}
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		err := s.db.ping(ctx)
		if err == nil {
			return s.Migrate(ctx)
		}
		if ctx.Err() == nil {
			s.Logger.Warn("service: the database does not answer", "err", redacted(err, s.Settings.secrets()...))
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// runners makes what is to run.
func (s *Service) runners(parts Part) ([]parley.Runner, error) {
	var out []parley.Runner
	var errs []error
	h := &health{service: s}
	if parts&PartRelay != 0 {
		t := s.Settings.relayTopology()
		if parts&PartConsumer != 0 {
			// The queue comes first: what is sent before it is bound is for nobody, and a
			// broker within the process has forgotten it since the last start.
			t = s.Settings.topology()
		}
		r, err := s.relay(t)
		errs = append(errs, err)
		out, h.relay = append(out, r), r
	}
	if parts&PartConsumer != 0 {
		c, err := s.Consumer()
		errs = append(errs, err)
		out, h.consumer = append(out, c), c
		if s.Inbox != nil {
			out = append(out, s.Inbox)
		}
	}
	if s.Settings.HTTP.Address != "" {
		out = append(out, h)
	}
	return out, errors.Join(errs...)
}

// together runs all runners; the end of one ends the others.
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

// separate refuses a memory: broker or database for a command that works alone: what it
// moved, or looked for, would live in this process only.
func (s *Service) separate(command string) error {
	var mistakes []Mistake
	for _, u := range [...]struct {
		key string
		url URL
	}{{"broker.url", s.Settings.Broker.URL}, {"database.url", s.Settings.Database.URL}} {
		if isMemory(u.url) {
			mistakes = append(mistakes, Mistake{Key: u.key, Source: s.Settings.sources[u.key].text,
				Problem: fmt.Sprintf("memory: lives within one process, so that %q would work on nothing", command), Mend: "use the command run, or a server"})
		}
	}
	if len(mistakes) > 0 {
		return &SettingsError{mistakes}
	}
	return nil
}

// Apply declares, or checks, exchanges, queue and bindings as the settings say. A consumer
// does it by itself when it starts; do it before to miss nothing that is sent earlier.
func (s *Service) Apply(ctx context.Context) error {
	if err := s.Settings.need("broker.url"); err != nil {
		return fmt.Errorf("service: %w", err)
	}
	if err := s.Broker.Declare(ctx, s.Settings.topology()); err != nil {
		return fmt.Errorf("service: %w", redacted(err, s.Settings.secrets()...))
	}
	return nil
}
