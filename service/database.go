package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// A database is the store that the settings name, whatever its type of transaction.
type database interface {
	parley.OutboxStore[*Tx]
	parley.InboxStore[*Tx]
	parley.RelaySource
	parley.RelayWaker
	parley.OutboxInspector
	parley.ParkedStore
	inTx(ctx context.Context, fn func(tx *Tx) error) error
	migrate(ctx context.Context) error
	migrations(ctx context.Context) ([]Migration, error)
	ping(ctx context.Context) error
	close() error
	// native is the driver's store: *postgres.Store, *sqlite.Store, *mysql.Store or *memory.Store.
	native() any
}

// nativeStore is what the stores of all drivers have in common.
type nativeStore[T any] interface {
	parley.OutboxStore[T]
	parley.InboxStore[T]
	parley.RelaySource
	parley.OutboxInspector
	parley.ParkedStore
}

// An adapter makes a store for transactions of type T one for *Tx.
type adapter[T any] struct {
	parley.RelaySource
	parley.OutboxInspector
	parley.ParkedStore
	store  nativeStore[T]
	wrap   func(T) *Tx
	unwrap func(*Tx) T
	begin  func(ctx context.Context, fn func(tx T) error) error
	admin  admin
}

// admin is what the drivers do each in their own way.
type admin struct {
	migrate    func(ctx context.Context) error
	migrations func(ctx context.Context) ([]Migration, error)
	ping       func(ctx context.Context) error
	close      func() error
}

func newAdapter[T any](store nativeStore[T], wrap func(T) *Tx, unwrap func(*Tx) T, begin func(context.Context, func(T) error) error, a admin) *adapter[T] {
	return &adapter[T]{RelaySource: store, OutboxInspector: store, ParkedStore: store, store: store, wrap: wrap, unwrap: unwrap, begin: begin, admin: a}
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

// Scheduled implements parley.OutboxStore.
func (a *adapter[T]) Scheduled(ctx context.Context, tx *Tx, s parley.Selection, limit int) ([]parley.Record, error) {
	return a.store.Scheduled(ctx, a.unwrap(tx), s, limit)
}

// Once implements parley.InboxStore.
func (a *adapter[T]) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx *Tx) error) error {
	return a.store.Once(ctx, consumer, identity, func(ctx context.Context, tx T) error { return fn(ctx, a.wrap(tx)) })
}

// SweepInbox implements parley.InboxStore.
func (a *adapter[T]) SweepInbox(ctx context.Context, age time.Duration, limit int) (int, error) {
	return a.store.SweepInbox(ctx, age, limit)
}

// Watch wakes the relay if the store can.
func (a *adapter[T]) Watch(ctx context.Context, wake func()) error {
	if w, ok := a.store.(parley.RelayWaker); ok {
		return w.Watch(ctx, wake)
	}
	<-ctx.Done()
	return nil
}

func (a *adapter[T]) inTx(ctx context.Context, fn func(tx *Tx) error) error {
	return a.begin(ctx, func(tx T) error { return fn(a.wrap(tx)) })
}

func (a *adapter[T]) migrate(ctx context.Context) error { return a.admin.migrate(ctx) }

func (a *adapter[T]) migrations(ctx context.Context) ([]Migration, error) {
	return a.admin.migrations(ctx)
}

func (a *adapter[T]) ping(ctx context.Context) error { return a.admin.ping(ctx) }
func (a *adapter[T]) close() error                   { return a.admin.close() }
func (a *adapter[T]) native() any                    { return a.store }

// scheme returns what kind of database the URL names, or "".
func (d *DatabaseSettings) scheme() string {
	s, _, _ := strings.Cut(d.URL.Reveal(), ":")
	switch s {
	case "postgresql":
		return "postgres"
	case "mariadb":
		return "mysql"
	}
	return s
}

const ownTable = "parley_outbox"

// openDatabase opens the store that the settings name; it does not connect yet where that can wait.
func openDatabase(s *Settings) (database, error) {
	d := &s.Database
	switch {
	case d.Table == "" || d.Table == ownTable:
	case d.Table != djangoTable:
		return nil, fmt.Errorf("database.table %q is not known: it is %s, or %s for a Django service", d.Table, ownTable, djangoTable)
	case d.scheme() == "memory":
		return nil, fmt.Errorf("database.table %s: there is no Django service on %s", d.Table, d.URL)
	}
	if d.Schema != "" && d.scheme() != "postgres" {
		return nil, errors.New("database.schema is for PostgreSQL only: leave it out")
	}
	switch d.scheme() {
	case "memory":
		return openMemory(), nil
	case "postgres":
		return openPostgres(s)
	case "sqlite":
		return openSQLite(s)
	case "mysql":
		return openMySQL(s)
	}
	return nil, fmt.Errorf("there is no store for %s", d.URL)
}
