package service

import (
	"context"
	"database/sql"
	"errors"

	"github.com/parley-go/parley/sqlite"
)

func openSQLite(s *Settings) (database, error) {
	store, err := sqlite.Open(s.Database.sqlitePath(), nil)
	if err != nil {
		return nil, err
	}
	var native nativeStore[sqlite.Tx] = store
	if s.Database.Table == djangoTable {
		outbox, err := sqlite.NewDjango(store.DB(), &sqlite.DjangoConfig{AppID: s.AppID})
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		native = overDjango[sqlite.Tx]{outbox, store, store}
	}
	return newAdapter(native,
		func(tx sqlite.Tx) *Tx { return &Tx{SQL: tx} },
		func(tx *Tx) sqlite.Tx { return tx.SQL },
		func(ctx context.Context, fn func(sqlite.Tx) error) error {
			return store.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		},
		admin{
			migrate:    store.Migrate,
			migrations: func(ctx context.Context) ([]Migration, error) { return migrationsOf(store.MigrationStatus(ctx)) },
			ping:       store.DB().PingContext,
			close:      store.Close,
		}), nil
}
