package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// Config holds the choices for a store.
type Config struct {
	// Schema is where the tables are. Default: the first schema of the search path.
	Schema string
	// PollOnly does without LISTEN, for connections through a transaction pooler.
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
		begin: func(ctx context.Context) (pgx.Tx, error) { return pool.Begin(ctx) },
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
	return migrate(ctx, db)
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
		begin: func(ctx context.Context) (Tx, error) { return db.BeginTx(ctx, nil) },
	}
	return s, err
}

// Migrate brings the tables up to date. Several processes may call it at once. With
// Config.Schema the connections must have it as their search path.
func (s *SQLStore) Migrate(ctx context.Context) error {
	if err := s.checkSearchPath(ctx); err != nil {
		return err
	}
	return migrate(ctx, s.db)
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

// conn is what both kinds of transaction can do. Parameters are text, numbers and nil only.
type conn interface {
	exec(ctx context.Context, query string, args ...any) (int, error)
	query(ctx context.Context, query string, scan func(row scanner) error, args ...any) error
	// all runs several queries, in one round trip where the driver can.
	all(ctx context.Context, statements ...statement) error
	// array returns a as a parameter of type text[].
	array(a textArray) any
	commit(ctx context.Context) error
	rollback(ctx context.Context) error
}

// A statement is a query with what becomes of its rows.
type statement struct {
	query string
	args  []any
	scan  func(row scanner) error
}

type scanner interface{ Scan(dst ...any) error }

type pgxConn struct{ tx pgx.Tx }

func (c pgxConn) exec(ctx context.Context, query string, args ...any) (int, error) {
	tag, err := c.tx.Exec(ctx, query, args...)
	return int(tag.RowsAffected()), err
}

func (c pgxConn) query(ctx context.Context, query string, scan func(scanner) error, args ...any) error {
	rows, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c pgxConn) all(ctx context.Context, statements ...statement) error {
	var b pgx.Batch
	for _, s := range statements {
		b.Queue(s.query, s.args...).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := s.scan(rows); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
	return c.tx.SendBatch(ctx, &b).Close()
}

func (c pgxConn) array(a textArray) any { return []*string(a) }

func (c pgxConn) commit(ctx context.Context) error { return c.tx.Commit(ctx) }

// rollbackTimeout bounds a rollback: a server that has frozen would hold its caller for ever. The
// connection is closed then, which rolls back as well.
const rollbackTimeout = 5 * time.Second

func (c pgxConn) rollback(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rollbackTimeout)
	defer cancel()
	if err := c.tx.Rollback(ctx); !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}

type sqlConn struct{ tx Tx }

func (c sqlConn) exec(ctx context.Context, query string, args ...any) (int, error) {
	res, err := c.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

func (c sqlConn) query(ctx context.Context, query string, scan func(scanner) error, args ...any) error {
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c sqlConn) all(ctx context.Context, statements ...statement) error {
	for _, s := range statements {
		if err := c.query(ctx, s.query, s.scan, s.args...); err != nil {
			return err
		}
	}
	return nil
}

func (c sqlConn) array(a textArray) any { return a.String() }

func (c sqlConn) commit(context.Context) error { return c.tx.Commit() }

func (c sqlConn) rollback(context.Context) error {
	if err := c.tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// A textArray is a PostgreSQL array of texts.
type textArray []*string

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// String writes the array in text form, which every driver can send.
func (a textArray) String() string {
	var b strings.Builder
	for i, text := range a {
		b.WriteByte("{,"[min(i, 1)])
		if text == nil {
			b.WriteString("NULL")
			continue
		}
		b.WriteByte('"')
		_, _ = arrayEscapes.WriteString(&b, *text) // a builder takes everything
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// idList writes ids as a PostgreSQL array in text form, which every driver can send.
func idList(ids []int64) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, id)
	}
	b.WriteByte('}')
	return b.String()
}
