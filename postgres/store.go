package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"
)

// Config configures a store.
type Config struct {
	// Schema is the schema of the tables. Default: the first schema of the search path.
	Schema string
	// FailedTable is the table of failed deliveries; see Store.Failures. Default: parley_failed.
	FailedTable string
	// PollOnly disables LISTEN and session locks, for connections through a transaction pooler. Migrate then makes no trigger
	// for notifications, and removes an existing one. A transaction on a second connection holds its lock. The pool must not use
	// prepared statements then: set its DefaultQueryExecMode to pgx.QueryExecModeExec.
	PollOnly bool
	// RelayPool gives the relay and the store's own work connections of their own, so that handlers that
	// use up the pool do not stop the relay. Six are enough. For New. Default: the pool.
	RelayPool *pgxpool.Pool
	// RelayDB is RelayPool for NewSQL. Default: the db.
	RelayDB *sql.DB
}

// Tx is a transaction of database/sql: *sql.Tx and types that embed it. A *sql.DB does not fit.
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
	pool  *pgxpool.Pool
	relay *pgxpool.Pool
	cfg   Config
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
	s.relay = cmp.Or(s.cfg.RelayPool, pool)
	names, err := newNames(s.cfg.Schema, s.cfg.FailedTable)
	s.engine = engine[pgx.Tx]{
		names: names,
		pool:  pool,
		use:   func(tx pgx.Tx) conn { return pgxConn{tx} },
		begin: beginPooled(pool),
		own:   ownPooled(s.relay, "BEGIN"),
	}
	return s, err
}

// Migrate brings the tables up to date, in Config.Schema if it is set. It creates a missing schema. Several processes may
// call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	db := s.migrationDB()
	defer db.Close()
	if err := s.createSchema(ctx, db); err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return (&migrator{db, s.locker(), s.cfg.FailedTable, s.cfg.PollOnly}).up(ctx)
}

// createSchema creates Config.Schema if it does not exist. CREATE SCHEMA IF NOT EXISTS would require the right to create schemas although
// the schema exists.
func (s *Store) createSchema(ctx context.Context, db *sql.DB) error {
	if s.cfg.Schema == "" {
		return nil
	}
	exists := func() (found bool, err error) {
		err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", s.cfg.Schema).Scan(&found)
		return found, err
	}
	found, err := exists()
	if err != nil || found {
		return err
	}
	create := "CREATE SCHEMA " + pgx.Identifier{s.cfg.Schema}.Sanitize()
	if _, err = db.ExecContext(ctx, create); err == nil {
		return nil
	}
	if found, _ := exists(); found {
		return nil // another process has created it meanwhile
	}
	return fmt.Errorf("create schema %q: %w (let a role that may create schemas run: %s AUTHORIZATION <the role of the migration>)", s.cfg.Schema, err, create)
}

// locker returns the lock of migrations, or nil for a session lock.
func (s *Store) locker() lock.Locker {
	if !s.cfg.PollOnly {
		return nil
	}
	return &pooledLock{pool: s.pool}
}

// MigrationStatus lists the migrations and which of them are applied.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	db := s.migrationDB()
	defer db.Close()
	return (&migrator{db, nil, s.cfg.FailedTable, s.cfg.PollOnly}).status(ctx)
}

// migrationDB connects like the pool, with the schema as the search path.
func (s *Store) migrationDB() *sql.DB {
	if s.cfg.Schema == "" {
		return stdlib.OpenDBFromPool(s.pool)
	}
	pool := s.pool.Config()
	cfg := pool.ConnConfig
	cfg.RuntimeParams["search_path"] = pgx.Identifier{s.cfg.Schema}.Sanitize()
	if pool.BeforeConnect == nil {
		return stdlib.OpenDB(*cfg)
	}
	return stdlib.OpenDB(*cfg, stdlib.OptionBeforeConnect(pool.BeforeConnect))
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
	names, err := newNames(s.cfg.Schema, s.cfg.FailedTable)
	s.engine = engine[Tx]{
		names: names,
		pool:  db,
		use:   func(tx Tx) conn { return sqlConn{tx} },
		begin: beginSQL(db),
		own:   ownSQL(cmp.Or(s.cfg.RelayDB, db), nil),
	}
	return s, err
}

// Migrate brings the tables up to date. Several processes may call it at once. With
// Config.Schema the connections must have it as their search path. With Config.PollOnly the db needs two connections.
func (s *SQLStore) Migrate(ctx context.Context) error {
	if err := s.checkSearchPath(ctx); err != nil {
		return err
	}
	return (&migrator{s.db, s.locker(), s.cfg.FailedTable, s.cfg.PollOnly}).up(ctx)
}

func (s *SQLStore) locker() lock.Locker {
	if !s.cfg.PollOnly {
		return nil
	}
	return &sqlLock{}
}

// MigrationStatus lists the migrations and which of them are applied.
func (s *SQLStore) MigrationStatus(ctx context.Context) ([]Migration, error) {
	if err := s.checkSearchPath(ctx); err != nil {
		return nil, err
	}
	return (&migrator{s.db, nil, s.cfg.FailedTable, s.cfg.PollOnly}).status(ctx)
}

// checkSearchPath returns an error if new tables would be created in another schema than Config.Schema.
func (s *SQLStore) checkSearchPath(ctx context.Context) error {
	if s.cfg.Schema == "" {
		return nil
	}
	var current sql.NullString
	if err := s.db.QueryRowContext(ctx, "SELECT current_schema()").Scan(&current); err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	if current.String != s.cfg.Schema {
		return fmt.Errorf("postgres: migrate: Config.Schema is %q, but connections create tables in %q (set search_path=%s in the connection URL)", s.cfg.Schema, current.String, s.cfg.Schema)
	}
	return nil
}

// names holds the tables as written in statements. failedTable is the table of failed deliveries without schema and quotes.
type names struct{ outbox, parked, inbox, log, control, failed, failedTable, schema string }

// FailedTable is the default name of the table of failed deliveries.
const FailedTable = "parley_failed"

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,62}$`)
	// tableName leaves room for the names of the indexes: PostgreSQL truncates names after 63 bytes.
	tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,39}$`)
)

func newNames(schema, failedTable string) (names, error) {
	var errs []error
	if schema != "" && !identifier.MatchString(schema) {
		errs = append(errs, fmt.Errorf("postgres: Config.Schema %q is not a plain name (letters, digits, _ and $, at most 63)", schema))
	}
	if failedTable == "" {
		failedTable = FailedTable
	}
	if !tableName.MatchString(failedTable) {
		errs = append(errs, fmt.Errorf("postgres: Config.FailedTable %q is not a plain name (letters, digits, _ and $, at most 40)", failedTable))
	}
	for _, taken := range []string{"parley_outbox", "parley_parked", "parley_inbox", "parley_log", "parley_control", migrationTable} {
		if failedTable == taken {
			errs = append(errs, fmt.Errorf("postgres: Config.FailedTable %q is another table of parley (leave it empty to use %s)", failedTable, FailedTable))
		}
	}
	if len(errs) > 0 {
		return names{}, errors.Join(errs...)
	}
	at := func(table string) string {
		if schema == "" {
			return table
		}
		return pgx.Identifier{schema, table}.Sanitize()
	}
	failed := pgx.Identifier{failedTable}.Sanitize()
	if schema != "" {
		failed = at(failedTable)
	}
	return names{
		outbox: at("parley_outbox"), parked: at("parley_parked"), inbox: at("parley_inbox"), log: at("parley_log"), control: at("parley_control"),
		failed: failed, failedTable: failedTable, schema: schema,
	}, nil
}
