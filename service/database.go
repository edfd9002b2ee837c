package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// A Database is the administrative view of the service's database, for commands and consoles.
type Database interface {
	parley.RelaySource
	parley.BlockerInspector
	parley.OutboxInspector
	parley.OutboxSummarizer
	// Leader returns the relay that leads; see [parley.LeaderInspector]. It returns [errors.ErrUnsupported] if the database does not show it.
	Leader(ctx context.Context) (*parley.RelayLeader, error)
	parley.ParkedStore
	// The log of what operators did, and what they have paused.
	parley.ActionLog
	parley.ControlStore
	parley.ScheduleLogger
	// Failures returns the table of failed deliveries.
	Failures() FailureStore
	// Migrations lists all migrations and whether they are applied.
	Migrations(ctx context.Context) ([]Migration, error)
	// Diagnose returns the findings of the driver.
	parley.Diagnoser
	// Ping reports whether the database is reachable, accepts writes and has a free connection. It returns ErrReadOnly for a
	// standby.
	Ping(ctx context.Context) error
}

// A database is the store that the settings name, with *Tx in place of the driver's transaction.
type database interface {
	Database
	parley.OutboxStore[*Tx]
	parley.InboxStore[*Tx]
	parley.RelaySleeper
	inTx(ctx context.Context, fn func(tx *Tx) error) error
	migrate(ctx context.Context) error
	close() error
	// pools returns the connection pool of handlers and publishers; at most one of the two is not nil.
	pools() (*pgxpool.Pool, *sql.DB)
	// native returns the driver's store: *postgres.Store, *sqlite.Store, *mysql.Store or *memory.Store.
	native() any
}

// nativeStore is what the stores of all drivers have in common.
type nativeStore[T any] interface {
	parley.OutboxStore[T]
	parley.InboxStore[T]
	parley.RelaySource
	parley.OutboxInspector
	parley.OutboxSummarizer
	parley.ParkedStore
}

// An adapter makes a store for transactions of type T one for *Tx.
type adapter[T any] struct {
	parley.RelaySource
	parley.OutboxInspector
	parley.OutboxSummarizer
	parley.ParkedStore
	operations
	store  nativeStore[T]
	wrap   func(T) *Tx
	unwrap func(*Tx) T
	begin  func(ctx context.Context, fn func(tx T) error) error
	admin  admin
	failed *failureAdapter[T]
}

// operations are the tables that operators use.
type operations interface {
	parley.ActionLog
	parley.ControlStore
}

// admin holds the functions that differ between the drivers.
type admin struct {
	migrate    func(ctx context.Context) error
	migrations func(ctx context.Context) ([]Migration, error)
	ping       func(ctx context.Context) error
	close      func() error
	operations operations
	pool       *pgxpool.Pool
	db         *sql.DB
}

func newAdapter[T any](store nativeStore[T], failures nativeFailures[T], wrap func(T) *Tx, unwrap func(*Tx) T, begin func(context.Context, func(T) error) error, a admin) *adapter[T] {
	out := &adapter[T]{RelaySource: store, OutboxInspector: store, OutboxSummarizer: store, ParkedStore: store, operations: a.operations, store: store, wrap: wrap, unwrap: unwrap, begin: begin, admin: a}
	out.failed = &failureAdapter[T]{FailureStore: failures, FailureOperator: failures, FailureGrouper: failures, native: failures, owner: out}
	return out
}

// Insert implements parley.OutboxStore.
func (a *adapter[T]) Insert(ctx context.Context, tx *Tx, records []parley.Record) error {
	return a.store.Insert(ctx, a.unwrap(tx), records)
}

// Cancel implements parley.OutboxStore.
func (a *adapter[T]) Cancel(ctx context.Context, tx *Tx, s parley.Selection) (int, error) {
	return a.store.Cancel(ctx, a.unwrap(tx), s)
}

// Reschedule implements parley.OutboxStore.
func (a *adapter[T]) Reschedule(ctx context.Context, tx *Tx, s parley.Selection, due time.Time) (int, error) {
	return a.store.Reschedule(ctx, a.unwrap(tx), s, due)
}

// LogsSchedule implements parley.ScheduleLogger.
func (a *adapter[T]) LogsSchedule() bool {
	l, ok := a.store.(parley.ScheduleLogger)
	return ok && l.LogsSchedule()
}

// Scheduled implements parley.OutboxStore.
func (a *adapter[T]) Scheduled(ctx context.Context, tx *Tx, s parley.Selection, limit int) ([]parley.Record, error) {
	return a.store.Scheduled(ctx, a.unwrap(tx), s, limit)
}

// Once implements parley.InboxStore. Within a handler, the consumer is that of the handler's queue.
func (a *adapter[T]) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx *Tx) error) error {
	return a.store.Once(ctx, consumerOf(ctx, consumer), identity, func(ctx context.Context, tx T) error { return fn(ctx, a.wrap(tx)) })
}

// SweepInbox implements parley.InboxStore.
func (a *adapter[T]) SweepInbox(ctx context.Context, consumer string, age time.Duration, limit int) (int, error) {
	return a.store.SweepInbox(ctx, consumer, age, limit)
}

// Watch implements parley.RelayWaker. Without support in the store it only waits for the end of ctx.
func (a *adapter[T]) Watch(ctx context.Context, wake func()) error {
	if w, ok := a.store.(parley.RelayWaker); ok {
		return w.Watch(ctx, wake)
	}
	<-ctx.Done()
	return nil
}

// WatchAsleep implements parley.RelaySleeper. Without support in the store it is Watch, without a flag.
func (a *adapter[T]) WatchAsleep(ctx context.Context, wake func(), ready func(parley.SleepFlag)) error {
	if s, ok := a.store.(parley.RelaySleeper); ok {
		return s.WatchAsleep(ctx, wake, ready)
	}
	return a.Watch(ctx, wake)
}

// Blockers implements parley.BlockerInspector.
func (a *adapter[T]) Blockers(ctx context.Context) ([]parley.Blocker, error) {
	return blockersOf(ctx, a.store)
}

// blockersOf returns the sessions that lock due records, or nil without support in the store.
func blockersOf(ctx context.Context, source parley.RelaySource) ([]parley.Blocker, error) {
	if b, ok := source.(parley.BlockerInspector); ok {
		return b.Blockers(ctx)
	}
	return nil, nil
}

func (a *adapter[T]) inTx(ctx context.Context, fn func(tx *Tx) error) error {
	return a.begin(ctx, func(tx T) error { return fn(a.wrap(tx)) })
}

func (a *adapter[T]) migrate(ctx context.Context) error { return a.admin.migrate(ctx) }

// Migrations implements Database.
func (a *adapter[T]) Migrations(ctx context.Context) ([]Migration, error) {
	return a.admin.migrations(ctx)
}

// Diagnose implements parley.Diagnoser. It returns nil without support in the store.
func (a *adapter[T]) Diagnose(ctx context.Context) []parley.Finding {
	if d, ok := a.outbox().(parley.Diagnoser); ok {
		return d.Diagnose(ctx)
	}
	return nil
}

// outbox returns the driver's outbox. With the outbox of a Django service it is a separate store.
func (a *adapter[T]) outbox() any {
	var store any = a.store
	if over, ok := store.(overDjango[T]); ok {
		return over.djangoOutbox
	}
	return store
}

// Leader implements Database.
func (a *adapter[T]) Leader(ctx context.Context) (*parley.RelayLeader, error) {
	if l, ok := a.outbox().(parley.LeaderInspector); ok {
		return l.Leader(ctx)
	}
	return nil, errors.ErrUnsupported
}

// Ping implements Database.
func (a *adapter[T]) Ping(ctx context.Context) error { return a.admin.ping(ctx) }

func (a *adapter[T]) close() error                    { return a.admin.close() }
func (a *adapter[T]) pools() (*pgxpool.Pool, *sql.DB) { return a.admin.pool, a.admin.db }
func (a *adapter[T]) native() any                     { return a.store }

// CheckDatabase reports mistakes in the settings that only the driver can find, such as an unknown parameter in database.url or a name that
// no table can have. It does not connect.
func CheckDatabase(s *settings.Settings) error {
	var url, names error
	scheme := s.Database.Scheme()
	switch scheme {
	case "postgres":
		_, url = postgresConfig(s)
	case "mysql":
		_, url = mysqlDSN(s.Database.URL)
	}
	if scheme != "" && scheme != "memory" {
		if _, names = MigrationSQL(scheme, s); names != nil {
			names = fmt.Errorf("database.schema or consumer.failures.table: %w", names)
		}
	}
	return s.Redact(errors.Join(url, names))
}

// openDatabase opens the store that the settings name. Where possible it connects on first use.
func openDatabase(s *settings.Settings, cfg *Config) (database, error) {
	d := &s.Database
	switch d.Scheme() {
	case "memory":
		return openMemory(), nil
	case "postgres":
		return openPostgres(s, cfg.Pool, cfg.Logger)
	case "sqlite":
		return openSQLite(s, cfg.DB, cfg.ReadOnly)
	case "mysql":
		return openMySQL(s, cfg.DB)
	}
	return nil, fmt.Errorf("no store for %s (use postgres, mysql, sqlite or memory:)", d.URL)
}
