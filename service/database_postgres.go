package service

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley/postgres"
)

func openPostgres(s *Settings) (database, error) {
	cfg, err := pgxpool.ParseConfig(s.Database.URL.Reveal())
	if err != nil {
		return nil, redacted(err, s.secrets()...)
	}
	cfg.MaxConns = int32(s.Database.MaxConnections)
	if s.AppID != "" && cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = s.AppID
	}
	// A transaction pooler gives each transaction another session: a statement prepared in one is unknown in the next.
	// The URL may choose another mode (default_query_exec_mode).
	if s.Database.PollOnly && cfg.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, redacted(err, s.secrets()...)
	}
	store, err := postgres.New(pool, &postgres.Config{Schema: s.Database.Schema, PollOnly: s.Database.PollOnly})
	if err != nil {
		pool.Close()
		return nil, err
	}
	var native nativeStore[pgx.Tx] = store
	if s.Database.Table == djangoTable {
		if native, err = postgresDjango(pool, store, s); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return newAdapter(native,
		func(tx pgx.Tx) *Tx { return &Tx{Pgx: tx} },
		func(tx *Tx) pgx.Tx { return tx.Pgx },
		func(ctx context.Context, fn func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, pool, fn) },
		admin{
			migrate:    store.Migrate,
			migrations: func(ctx context.Context) ([]Migration, error) { return migrationsOf(store.MigrationStatus(ctx)) },
			ping:       pool.Ping,
			close:      func() error { pool.Close(); return nil },
		}), nil
}
