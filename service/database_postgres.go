package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/service/settings"
)

// openPostgres opens the store on pool. If pool is nil, it opens one of its own.
func openPostgres(s *settings.Settings, pool *pgxpool.Pool, log *slog.Logger) (database, error) {
	handedIn := pool != nil
	if !handedIn {
		cfg, err := postgresConfig(s)
		if err != nil {
			return nil, err
		}
		if pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
			return nil, s.Redact(err)
		}
	}
	own := pool.Config() // a copy
	own.MaxConns = relayConnections
	own.MinConns, own.MinIdleConns = 0, 0
	relay, err := pgxpool.NewWithConfig(context.Background(), own)
	shut := func() error {
		if relay != nil {
			relay.Close()
		}
		if !handedIn {
			pool.Close()
		}
		return nil
	}
	if err != nil {
		return nil, errors.Join(s.Redact(err), shut())
	}
	store, err := postgres.New(pool, &postgres.Config{Schema: s.Database.Schema, PollOnly: s.Database.PollOnly, RelayPool: relay, FailedTable: s.Consumer.Failures.Table})
	if err != nil {
		return nil, errors.Join(err, shut())
	}
	var native nativeStore[pgx.Tx] = store
	if s.Database.Table == DjangoTable {
		if native, err = postgresDjango(pool, relay, store, s, log); err != nil {
			return nil, errors.Join(err, shut())
		}
	}
	return newAdapter(native, store.Failures(),
		func(tx pgx.Tx) *Tx { return &Tx{Pgx: tx} },
		func(tx *Tx) pgx.Tx { return tx.Pgx },
		store.InTx,
		admin{
			operations: store,
			migrate:    store.Migrate,
			migrations: func(ctx context.Context) ([]Migration, error) { return migrationsOf(store.MigrationStatus(ctx)) },
			ping:       func(ctx context.Context) error { return pingPool(ctx, relay, pool) },
			close:      shut,
			pool:       pool,
		}), nil
}

// postgresConfig returns the configuration of the pool of handlers and publishers.
func postgresConfig(s *settings.Settings) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(s.Database.URL.Reveal())
	if err != nil {
		return nil, s.Redact(err)
	}
	if severalHosts(cfg.ConnConfig) && cfg.ConnConfig.ValidateConnect == nil {
		// Otherwise the first host that answers would do, and that may be a standby.
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if err := postgresTLS(cfg.ConnConfig, &s.Database.TLS); err != nil {
		return nil, err
	}
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if err := postgresTLS(c, &s.Database.TLS); err != nil {
			return err
		}
		return postgresLogin(s, c)
	}
	cfg.MaxConns = int32(s.Database.MaxConnections)
	if s.AppID != "" && cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = s.AppID
	}
	// A transaction pooler may run each transaction in another session, where a prepared statement is unknown.
	// The URL may choose another mode (default_query_exec_mode).
	if s.Database.PollOnly && cfg.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return cfg, nil
}

// postgresLogin replaces user and password of c with those that the files of the settings contain now.
func postgresLogin(s *settings.Settings, c *pgx.ConnConfig) error {
	now, err := rereadDatabase(s)
	if now == nil || err != nil {
		return err
	}
	login, err := pgconn.ParseConfig(now.Database.URL.Reveal())
	if err != nil {
		return now.Redact(err)
	}
	c.User, c.Password = login.User, login.Password
	return nil
}

// severalHosts reports whether the URL names more than one server.
func severalHosts(c *pgx.ConnConfig) bool {
	return slices.ContainsFunc(c.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.Host != c.Host || f.Port != c.Port })
}
