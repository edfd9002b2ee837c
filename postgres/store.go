package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// Config holds the choices for a store.
type Config struct {
	// Schema is where the tables are. Default: the first schema of the search path.
	Schema string
	// PollOnly does without LISTEN and locks of sessions, for connections through a transaction pooler. The pool has to do
	// without prepared statements then: set its DefaultQueryExecMode to pgx.QueryExecModeExec.
	PollOnly bool
}

// Tx is a transaction of database/sql: *sql.Tx and what embeds it. A *sql.DB does not fit.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

// Store is the store for pgx.
type Store struct {
	engine[pgx.Tx]
	pool *pgxpool.Pool
	cfg  Config
}

// New returns a store that opens its own transactions on pool.
func New(pool *pgxpool.Pool, cfg *Config) (*Store, error) {
	s := &Store{pool: pool}
	if pool == nil {
		return nil, errors.New("postgres: pool must not be nil")
	}
	if cfg != nil {
		s.cfg = *cfg
	}
	names, err := newNames(s.cfg.Schema)
	s.engine = engine[pgx.Tx]{
		names: names,
		use:   func(tx pgx.Tx) conn { return pgxConn{tx} },
		begin: beginPooled(pool),
		own:   ownPooled(pool),
	}
	return s, err
}

// Migrate brings the tables up to date, in Config.Schema if it is set. Several processes may
// call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	db := s.migrationDB()
	defer db.Close()
	if s.cfg.Schema != "" {
		if _, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{s.cfg.Schema}.Sanitize()); err != nil {
			return fmt.Errorf("postgres: migrate: create schema: %w", err)
		}
	}
	return migrate(ctx, db, s.pooledLock())
}

func (s *Store) pooledLock() *pooledLock {
	if !s.cfg.PollOnly {
		return nil
	}
	return &pooledLock{cfg: s.pool.Config().ConnConfig}
}

// MigrationStatus lists the migrations and which of them are applied.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	db := s.migrationDB()
	defer db.Close()
	return migrationStatus(ctx, db)
}

// migrationDB connects as the pool does, with the schema as the search path.
func (s *Store) migrationDB() *sql.DB {
	if s.cfg.Schema == "" {
		return stdlib.OpenDBFromPool(s.pool)
	}
	cfg := s.pool.Config().ConnConfig.Copy()
	cfg.RuntimeParams["search_path"] = pgx.Identifier{s.cfg.Schema}.Sanitize()
	return stdlib.OpenDB(*cfg)
}

// SQLStore is the store for database/sql. It polls: LISTEN needs pgx.
type SQLStore struct {
	engine[Tx]
	db  *sql.DB
	cfg Config
}

// NewSQL returns a store that opens its own transactions on db.
func NewSQL(db *sql.DB, cfg *Config) (*SQLStore, error) {
	s := &SQLStore{db: db}
	if db == nil {
		return nil, errors.New("postgres: db must not be nil")
	}
	if cfg != nil {
		s.cfg = *cfg
	}
	names, err := newNames(s.cfg.Schema)
	s.engine = engine[Tx]{
		names: names,
		use:   func(tx Tx) conn { return sqlConn{tx} },
		begin: beginSQL(db),
		own:   ownSQL(db),
	}
	return s, err
}

// Migrate brings the tables up to date. Several processes may call it at once. With
// Config.Schema the connections must have it as their search path.
func (s *SQLStore) Migrate(ctx context.Context) error {
	if err := s.checkSearchPath(ctx); err != nil {
		return err
	}
	return migrate(ctx, s.db, nil)
}

// MigrationStatus lists the migrations and which of them are applied.
func (s *SQLStore) MigrationStatus(ctx context.Context) ([]Migration, error) {
	if err := s.checkSearchPath(ctx); err != nil {
		return nil, err
	}
	return migrationStatus(ctx, s.db)
}

// checkSearchPath keeps tables from being made in another schema than they are looked for.
func (s *SQLStore) checkSearchPath(ctx context.Context) error {
	if s.cfg.Schema == "" {
		return nil
	}
	var current sql.NullString
	if err := s.db.QueryRowContext(ctx, "SELECT current_schema()").Scan(&current); err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	if current.String != s.cfg.Schema {
		return fmt.Errorf("postgres: migrate: Config.Schema is %q, but connections make tables in %q: set search_path=%s in the connection URL", s.cfg.Schema, current.String, s.cfg.Schema)
	}
	return nil
}

// names are the tables as they stand in statements.
type names struct{ outbox, parked, inbox, schema string }

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,62}$`)

func newNames(schema string) (names, error) {
	if schema != "" && !identifier.MatchString(schema) {
		return names{}, fmt.Errorf("postgres: Config.Schema %q is not a plain name (letters, digits, _ and $, at most 63)", schema)
	}
	at := func(table string) string {
		if schema == "" {
			return table
		}
		return pgx.Identifier{schema, table}.Sanitize()
	}
	return names{at("parley_outbox"), at("parley_parked"), at("parley_inbox"), schema}, nil
}
