package service

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/sqlite"
)

// sqliteLease is the default of sqlite.Config.Lease.
const sqliteLease = 15 * time.Second

// openSQLite opens the store on db. If db is nil, it opens one of its own. Closing the store leaves db open.
func openSQLite(s *settings.Settings, db *sql.DB, readOnly bool) (database, error) {
	var store *sqlite.Store
	var err error
	d := &s.Database
	lease := max(sqliteLease, 3*s.Relay.HoldLimit) // it must be longer than the hold limit
	cfg := &sqlite.Config{FailedTable: s.Consumer.Failures.Table, BusyTimeout: d.BusyTimeout, WatchInterval: d.WatchInterval, Lease: lease, ReadOnly: readOnly}
	if db != nil {
		store, err = sqlite.New(db, cfg)
	} else {
		store, err = sqlite.Open(s.Database.SQLitePath(), cfg)
	}
	if err != nil {
		return nil, err
	}
	var native nativeStore[sqlite.Tx] = store
	if s.Database.Table == DjangoTable {
		outbox, err := sqlite.NewDjango(store.DB(), &sqlite.DjangoConfig{AppID: s.AppID, WatchInterval: d.WatchInterval, Lease: lease})
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		native = overDjango[sqlite.Tx]{outbox, store, store}
	}
	return newAdapter(native, store.Failures(),
		func(tx sqlite.Tx) *Tx { return &Tx{SQL: tx} },
		func(tx *Tx) sqlite.Tx { return tx.SQL },
		func(ctx context.Context, fn func(sqlite.Tx) error) error {
			return store.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		},
		admin{
			operations: store,
			migrate:    store.Migrate,
			migrations: func(ctx context.Context) ([]Migration, error) { return migrationsOf(store.MigrationStatus(ctx)) },
			ping:       store.DB().PingContext,
			close:      store.Close,
			db:         store.DB(),
		}), nil
}
