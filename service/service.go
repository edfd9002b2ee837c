package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/otelparley"
	"github.com/parley-go/parley/rest"
)

// A Service is everything that the settings name, opened: the database with outbox and
// inbox, the broker, and a router for handlers. What the settings do not name is nil.
type Service struct {
	// Settings are complete: defaults are filled in, secret files read.
	Settings *Settings
	// Logger writes to standard error as the settings say.
	Logger *slog.Logger
	// Router takes the handlers. With none, the service has no consumer.
	Router *parley.Router
	// Outbox publishes within a transaction of InTx or OnTx: s.Outbox.In(tx). Nil without a database.
	Outbox *parley.Outbox[*Tx]
	// Inbox is for parley.OnTx. Nil without a database.
	Inbox *parley.Inbox[*Tx]
	// Broker sends at once and is what relay and consumer use. Nil if the settings name none.
	Broker parley.Broker
	// Telemetry makes spans and metrics of all parts: spans by OpenTelemetry's global provider,
	// metrics by http.metrics or else the global provider. Telemetry.Publisher(s.Broker)
	// has what is sent at once traced, too.
	Telemetry *otelparley.Telemetry

	// The fields below are for the function that registers handlers to set: they count when
	// relay and consumer are made.

	// RelayHooks and ConsumerHooks observe relay and consumer.
	RelayHooks    parley.RelayHooks
	ConsumerHooks parley.ConsumerHooks
	// Propagate adds headers to what is published, beside the trace context; see parley.OutboxConfig.
	Propagate func(ctx context.Context, set func(name, value string))
	// HTTPHandlers are served beside the health checks, by pattern: "GET /metrics".
	HTTPHandlers map[string]http.Handler

	db     database
	broker closableBroker
	meters *sdk.MeterProvider // of http.metrics
}

// Config holds what a program, not its operator, chooses for a service.
type Config struct {
	// Logger replaces the one that the settings describe.
	Logger *slog.Logger
	// LogOutput is where the logger of the settings writes. Default: os.Stderr.
	LogOutput io.Writer
}

// Open opens what the settings name. It reports all mistakes at once, as *SettingsError.
// It does not wait for servers: database and broker are connected when they are first used.
func Open(s *Settings, cfg *Config) (*Service, error) {
	settings := *s
	if mistakes := settings.complete(nil); len(mistakes) > 0 {
		return nil, &SettingsError{mistakes}
	}
	if cfg == nil {
		cfg = &Config{}
	}
	svc := &Service{Settings: &settings, Router: parley.NewRouter(), Logger: cfg.Logger}
	if svc.Logger == nil {
		svc.Logger = newLogger(&settings.Log, cfg.LogOutput)
	}
	if err := errors.Join(svc.openTelemetry(), svc.openDatabase(), svc.openBroker()); err != nil {
		return nil, errors.Join(fmt.Errorf("service: %w", err), svc.Close(context.Background()))
	}
	return svc, nil
}

func newLogger(l *LogSettings, w io.Writer) *slog.Logger {
	if w == nil {
		w = os.Stderr
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // the settings have been checked
	}
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func (s *Service) openTelemetry() (err error) {
	cfg := &otelparley.Config{}
	if s.Settings.HTTP.Metrics {
		var handler http.Handler
		if s.meters, handler, err = otelparley.NewPrometheus(); err != nil {
			return fmt.Errorf("open metrics: %w", err)
		}
		cfg.MeterProvider = s.meters
		s.HTTPHandlers = map[string]http.Handler{"GET /metrics": handler}
	}
	if s.Telemetry, err = otelparley.New(cfg); err != nil {
		return err
	}
	s.Router.Use(s.Telemetry.Middleware())
	return nil
}

func (s *Service) openDatabase() (err error) {
	if s.Settings.Database.URL == "" {
		return nil
	}
	if s.db, err = openDatabase(s.Settings); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	s.Outbox, err = parley.NewOutbox[*Tx](s.db, s.Telemetry.Outbox(&parley.OutboxConfig{AppID: s.Settings.AppID, Propagate: s.propagate}))
	if err != nil {
		return err
	}
	if s.meters != nil {
		if err := s.Telemetry.Observe(or(s.Settings.AppID, "outbox"), s.db); err != nil {
			return err
		}
	}
	consumer := or(or(s.Settings.Queue, s.Settings.AppID), "service")
	s.Inbox, err = parley.NewInbox[*Tx](s.db, &parley.InboxConfig{Consumer: consumer, Logger: s.Logger})
	return err
}

func (s *Service) propagate(ctx context.Context, set func(name, value string)) {
	if s.Propagate != nil {
		s.Propagate(ctx, set)
	}
}

func (s *Service) openBroker() (err error) {
	if s.Settings.Broker.URL == "" && s.Settings.Broker.Host == "" {
		return nil
	}
	if s.broker, err = openBroker(s.Settings, s.Logger); err != nil {
		return fmt.Errorf("open broker: %w", err)
	}
	s.Broker = s.broker
	return nil
}

const (
	// closeTimeout bounds the end of the broker's connections.
	closeTimeout = 3 * time.Second
	// databaseCloseTimeout is short: nobody but a handler that never returns uses the database by then.
	databaseCloseTimeout = 500 * time.Millisecond
)

// Close ends the connections. Run has returned by then. It does not wait for a handler that never returns,
// whose connection to the database cannot be ended.
func (s *Service) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var errs []error
	if s.meters != nil {
		errs = append(errs, s.meters.Shutdown(ctx))
	}
	if s.broker != nil {
		errs = append(errs, s.broker.Close(ctx))
	}
	if s.db != nil {
		errs = append(errs, s.closeDatabase())
	}
	return errors.Join(errs...)
}

// closeDatabase gives up after a moment: pools wait for whoever uses them, for ever.
func (s *Service) closeDatabase() error {
	done := make(chan error, 1)
	go func() { done <- s.db.close() }() // joined below, unless the database is in use
	t := time.NewTimer(databaseCloseTimeout)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return errors.New("service: the database is still in use, or does not answer: its connections are left to the end of the process")
	}
}

// InTx runs fn in a transaction of the service's database. It commits if fn returns nil
// and rolls back if fn fails or panics.
func (s *Service) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	if s.db == nil {
		return fmt.Errorf("service: %w", s.Settings.need("database.url"))
	}
	return s.db.inTx(ctx, fn)
}

// Store returns the driver's store: *postgres.Store, *sqlite.Store, *mysql.Store or
// *memory.Store, and nil without a database. It is for what only that database can do.
func (s *Service) Store() any {
	if s.db == nil {
		return nil
	}
	return s.db.native()
}

// Migrate brings the tables up to date.
func (s *Service) Migrate(ctx context.Context) error {
	if s.db == nil {
		return fmt.Errorf("service: %w", s.Settings.need("database.url"))
	}
	return redacted(s.db.migrate(ctx), s.Settings.secrets()...)
}

// Relay returns a relay from the database to the broker, as the settings describe it.
func (s *Service) Relay() (*parley.Relay, error) { return s.relay(s.Settings.relayTopology()) }

func (s *Service) relay(t parley.Topology) (*parley.Relay, error) {
	if err := s.Settings.need("database.url", "broker.url"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	r := &s.Settings.Relay
	cfg := &parley.RelayConfig{
		BatchSize: r.BatchSize, MaxBytes: r.MaxBytes, PollInterval: r.PollInterval, StandbyInterval: r.StandbyInterval,
		HoldLimit: r.HoldLimit, Grace: r.Grace, Topology: t,
		Hooks: s.RelayHooks, Logger: s.Logger,
	}
	cfg.Hooks.State = func(state parley.RelayState) {
		s.Logger.Info("relay: "+string(state), "outbox", s.Settings.Database.URL)
		if s.RelayHooks.State != nil {
			s.RelayHooks.State(state)
		}
	}
	if r.Mode == "parallel" {
		cfg.Mode = parley.ModeParallel
	}
	cfg.Unroutable = map[string]parley.UnroutablePolicy{
		"drop": parley.UnroutableDrop, "park": parley.UnroutablePark, "retry": parley.UnroutableRetry,
	}[r.Unroutable]
	return parley.NewRelay(s.db, s.Telemetry.Publisher(s.Broker), s.Telemetry.Relay(cfg))
}

// Consumer returns a consumer of the queue that hands deliveries to Router, as the settings describe it.
func (s *Service) Consumer() (*parley.Consumer, error) {
	if err := s.Settings.need("broker.url", "queue"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	c := &s.Settings.Consumer
	cfg := &parley.ConsumerConfig{
		Queue: s.Settings.Queue, Topology: s.Settings.topology(), Lanes: c.Lanes, Prefetch: c.Prefetch,
		Grace: c.Grace, HandlerTimeout: c.HandlerTimeout, MaxBytes: c.MaxBytes,
		Retry: parley.RetryPolicy{Quick: c.QuickRetries, Delays: c.RetryDelays},
		Hooks: s.ConsumerHooks, Logger: s.Logger,
	}
	cfg.Hooks.Subscribed = func(up bool, cause error) {
		if up {
			s.Logger.Info("consumer: subscribed", "queue", s.Settings.Queue)
		}
		if s.ConsumerHooks.Subscribed != nil {
			s.ConsumerHooks.Subscribed(up, cause)
		}
	}
	if c.Secret != "" {
		cfg.Secrets = [][]byte{[]byte(c.Secret.Reveal())}
	}
	if c.Unhandled == "park" {
		cfg.Unhandled = parley.UnhandledPark
	}
	return parley.NewConsumer(s.Broker, s.Router, s.Telemetry.Consumer(cfg))
}

// REST returns a client for the HTTP API that the settings name. Close it after use.
func (s *Service) REST() (*rest.Client, error) {
	if err := s.Settings.need("rest.host"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	r := &s.Settings.REST
	cfg := rest.Config{Host: r.Host, AuthURL: r.AuthURL, Timeout: r.Timeout, CorrelationID: parley.CorrelationID}
	switch {
	case len(r.Credential) > 0:
		cfg.Credential = map[string]any(r.Credential)
	default:
		cfg.Username, cfg.Password = r.Username, r.Password.Reveal()
	}
	return rest.New(cfg)
}

// need returns a *SettingsError that names each of the settings that is missing. The
// broker's URL may be given as parameters.
func (s *Settings) need(keys ...string) error {
	var missing []Mistake
	for _, key := range keys {
		f := fieldByKey(key)
		if !f.value(s).IsZero() || key == "broker.url" && s.Broker.Host != "" {
			continue
		}
		ways := []string{key + " in the settings file", f.env()}
		if f.flag() != "" {
			ways = append(ways, "--"+f.flag())
		}
		missing = append(missing, Mistake{Key: key, Problem: "is missing", Mend: "set " + strings.Join(ways, ", or ")})
	}
	if len(missing) == 0 {
		return nil
	}
	return &SettingsError{missing}
}
