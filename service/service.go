package service

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/otelparley"
	"github.com/parley-go/parley/rest"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/service/status"
)

// A Service is an opened service: the database with outbox and inbox, the broker, and a router for handlers. Parts that are not
// configured are nil.
type Service struct {
	// Settings are the complete settings, with defaults filled in and secret files read.
	Settings *settings.Settings
	// Logger writes to standard error, in the level and format of the settings.
	Logger *slog.Logger
	// Router holds the handlers of the first queue of the settings; see Queue for those of others. Without handlers the service has no
	// consumer.
	Router *parley.Router
	// Outbox publishes within a transaction of InTx or OnTx: s.Outbox.In(tx). Nil without a database.
	Outbox *parley.Outbox[*Tx]
	// Inbox is for parley.OnTx, with the router of each queue: it keeps the consumers of the queues apart. Nil without a database.
	Inbox *parley.Inbox[*Tx]
	// Broker publishes without the outbox; relay and consumer use it too. Nil without a broker.
	Broker parley.Broker
	// Telemetry records spans and metrics of all parts. Spans go to OpenTelemetry's global provider, metrics to the endpoint of
	// http.metrics or else to the global provider. Use Telemetry.Publisher(s.Broker) to trace messages published without the outbox.
	Telemetry *otelparley.Telemetry

	// The function that registers handlers may set the fields below. They are read when relay and consumer are created.

	// RelayHooks and ConsumerHooks observe relay and consumer. They are called after the service's own hooks for logs and metrics.
	RelayHooks    parley.RelayHooks
	ConsumerHooks parley.ConsumerHooks
	// Propagate adds headers to published messages, beside the trace context; see parley.OutboxConfig.
	Propagate func(ctx context.Context, set func(name, value string))
	// Doctor examines the servers for the console. Package command sets it; nil hides the examination.
	Doctor func(ctx context.Context) []parley.Finding

	db      database
	control *parley.Control      // nil without a database
	queues  []*Queue             // all of the settings
	sweeps  []*parley.Inbox[*Tx] // delete old identities, one for each consumer name of this process
	broker  closableBroker       // opened from the settings; nil if the program handed in a broker
	added   []named
	routes  []route
	meters  *sdk.MeterProvider             // of http.metrics and telemetry.otlp
	process atomic.Pointer[status.Process] // set by Run
	traffic traffic
	// preparing is the state of the database while Prepare waits for it or migrates it; else "" or unset.
	preparing atomic.Value

	shutTelemetry []func(ctx context.Context) error
}

// Config holds choices of the program, as opposed to the settings of its operator.
type Config struct {
	// Logger replaces the logger of the settings.
	Logger *slog.Logger
	// ReadOnly is for diagnostics: a SQLite file is opened for reading, and neither created nor changed. On servers it has no effect.
	ReadOnly bool
	// LogOutput is the output of the logger of the settings. Default: os.Stderr.
	LogOutput io.Writer

	// The pools and the broker below replace those of the settings. The program owns them: Service.Close leaves them open.

	// Pool is a PostgreSQL pool for handlers and publishers. Relay and health checks use connections of their own, with Pool's
	// configuration.
	Pool *pgxpool.Pool
	// DB is a MySQL, MariaDB or SQLite pool, opened as mysql.New or sqlite.New requires. Relay and health checks use it too. If its
	// driver wraps the MySQL or the SQLite driver, set database.url to name the kind of database.
	DB *sql.DB
	// Broker is the broker of relay and consumer.
	Broker parley.Broker
}

// Open opens what the settings describe. It reports all mistakes in the settings at once, as *settings.Error. It does not wait for
// servers: database and broker connect on first use.
func Open(s *settings.Settings, cfg *Config) (*Service, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	own := *s
	if err := cfg.describe(&own); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	if err := own.Complete(); err != nil {
		return nil, err
	}
	svc := &Service{Settings: &own, Logger: cfg.Logger}
	if svc.Logger == nil {
		svc.Logger = newLogger(&own.Log, cfg.LogOutput)
	}
	with := *cfg
	with.Logger = svc.Logger
	if err := errors.Join(svc.openTelemetry(), svc.openDatabase(&with), svc.openBroker(cfg)); err != nil {
		return nil, errors.Join(fmt.Errorf("service: %w", err), svc.Close(context.Background()))
	}
	return svc, nil
}

func (s *Service) openDatabase(cfg *Config) (err error) {
	if s.Settings.Database.URL == "" {
		return nil
	}
	if s.db, err = openDatabase(s.Settings, cfg); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	s.Outbox, err = parley.NewOutbox[*Tx](s.db, s.Telemetry.Outbox(&parley.OutboxConfig{AppID: s.Settings.AppID, KeyRules: s.Settings.Keys.Rules(), Propagate: s.propagate}))
	if err != nil {
		return err
	}
	if err := errors.Join(s.openControl(), s.observe()); err != nil {
		return err
	}
	consumer := cmp.Or(cmp.Or(s.Settings.ConsumerName(), s.Settings.AppID), "service")
	in := &s.Settings.Inbox
	names := []string{consumer}
	for _, q := range s.Settings.RunQueues() {
		if !slices.Contains(names, q.ConsumerName) {
			names = append(names, q.ConsumerName)
		}
	}
	for _, name := range names {
		inbox, err := parley.NewInbox[*Tx](s.db, &parley.InboxConfig{Consumer: name, Retention: in.Retention, SweepInterval: in.SweepInterval, Logger: s.Logger})
		if err != nil {
			return err
		}
		s.sweeps = append(s.sweeps, inbox)
	}
	s.Inbox = s.sweeps[0]
	return nil
}

// observe adds the outbox and the consumer's failed deliveries to the metrics of http.metrics and telemetry.otlp. Each export reads the
// database, so other metric providers do not get them.
func (s *Service) observe() error {
	if s.meters == nil {
		return nil
	}
	err := s.Telemetry.Observe(cmp.Or(s.Settings.AppID, "outbox"), s.db)
	for _, q := range s.Settings.RunQueues() {
		if s.Settings.FailuresInSQL() {
			err = errors.Join(err, s.Telemetry.ObserveFailures(q.ConsumerName, s.db.Failures()))
		}
	}
	return err
}

func (s *Service) propagate(ctx context.Context, set func(name, value string)) {
	if s.Propagate != nil {
		s.Propagate(ctx, set)
	}
}

func (s *Service) openBroker(cfg *Config) (err error) {
	if cfg.Broker != nil {
		s.Broker = cfg.Broker
		return nil
	}
	if !s.Settings.HasBroker() {
		return nil
	}
	if s.broker, err = openBroker(s.Settings, s.Logger); err != nil {
		return fmt.Errorf("open broker: %w", err)
	}
	s.Broker = s.broker
	return nil
}

const (
	// closeTimeout is the longest time that closing metrics and broker may take.
	closeTimeout = 3 * time.Second
	// databaseCloseTimeout is short: only a handler that never returns still uses the database when Close runs.
	databaseCloseTimeout = 2 * time.Second
)

// Close closes the connections. Call it after Run has returned. Close does not wait for the database connection of a handler that
// never returns.
func (s *Service) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	s.closeTelemetry(ctx)
	database := make(chan error, 1)
	go func() { database <- s.closeDatabase() }() // at the same time: neither of them may respond
	var err error
	if s.broker != nil {
		err = s.broker.Close(ctx)
	}
	return errors.Join(err, <-database)
}

// closeDatabase closes the pools. It gives up after databaseCloseTimeout, because pools wait for used connections indefinitely.
func (s *Service) closeDatabase() error {
	if s.db == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- s.db.close() }() // joined below, unless a connection stays in use
	t := time.NewTimer(databaseCloseTimeout)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return errors.New("service: timed out closing the database pool; open connections are abandoned")
	}
}

// InTx runs fn in a transaction of the service's database. It commits if fn returns nil, and rolls back if fn fails or panics.
func (s *Service) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	if s.db == nil {
		return fmt.Errorf("service: %w", s.need("database.url"))
	}
	return s.db.inTx(ctx, fn)
}

// Store returns the driver's store: *postgres.Store, *sqlite.Store, *mysql.Store or
// *memory.Store. It returns nil without a database. Use it for features of one database.
func (s *Service) Store() any {
	if s.db == nil {
		return nil
	}
	return s.db.native()
}

// Database returns the administrative view of the database, or nil without a database.
func (s *Service) Database() Database {
	if s.db == nil {
		return nil
	}
	return s.db
}

// Migrate applies pending migrations.
func (s *Service) Migrate(ctx context.Context) error {
	if s.db == nil {
		return fmt.Errorf("service: %w", s.need("database.url"))
	}
	return s.Settings.Redact(s.db.migrate(ctx))
}

// Relay returns a relay from the database to the broker, with the options of the settings.
func (s *Service) Relay() (*parley.Relay, error) { return s.relay(s.Settings.RelayTopology()) }

func (s *Service) relay(t parley.Topology) (*parley.Relay, error) {
	if err := s.need("database.url", "broker.url"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	r := &s.Settings.Relay
	cfg := &parley.RelayConfig{
		BatchSize: r.BatchSize, MaxBytes: r.MaxBytes, PollInterval: r.PollInterval, StandbyInterval: r.StandbyInterval,
		HoldLimit: r.HoldLimit, ShutdownTimeout: r.ShutdownTimeout, Topology: t,
		Logger: s.Logger, Control: s.control,
	}
	cfg.Hooks = parley.RelayHooks{State: newStateLog(s.Logger.With("outbox", s.Settings.Database.URL)).changed}.Then(s.traffic.relayHooks()).Then(s.RelayHooks)
	if r.Mode == "parallel" {
		cfg.Mode = parley.RelayModeParallel
	}
	cfg.Unroutable = map[string]parley.UnroutablePolicy{
		"drop": parley.UnroutableDrop, "park": parley.UnroutablePark, "retry": parley.UnroutableRetry,
	}[r.Unroutable]
	return parley.NewRelay(s.db, s.Telemetry.Publisher(s.Broker), s.Telemetry.Relay(cfg))
}

// Consumer returns a consumer of the queue that passes deliveries to Router, with the options of the settings. With several queues
// it is that of the first one that this process handles; see Queue.Consumer.
func (s *Service) Consumer() (*parley.Consumer, error) {
	if err := s.need("broker.url", "queue"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	return s.Queues()[0].Consumer()
}

// REST returns a client for the HTTP API at rest.host. Close it after use.
func (s *Service) REST() (*rest.Client, error) {
	if err := s.need("rest.host"); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	r := &s.Settings.REST
	cfg := rest.Config{
		Host: r.Host.Reveal(), AuthURL: r.AuthURL.Reveal(), Timeout: r.Timeout, MaxBytes: int64(r.MaxBytes), UserAgent: r.UserAgent, CorrelationID: parley.CorrelationID,
		Login:       rest.LoginConfig{TokenField: r.TokenField, RefreshURL: r.RefreshURL.Reveal()},
		Retry:       rest.RetryConfig{MaxRetries: cmp.Or(r.MaxRetries, -1)}, // 0 in the settings means never
		Connections: rest.TransportConfig{DenyPrivate: r.DenyPrivate},
	}
	switch {
	case len(r.Credential) > 0:
		cfg.Credential = map[string]any(r.Credential)
	default:
		cfg.Username, cfg.Password = r.Username, r.Password.Reveal()
	}
	return rest.New(cfg)
}
