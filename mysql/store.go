package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley/internal/sqlstore"
)

// Config holds the choices for a store.
type Config struct {
	// WatchInterval is how often a relay looks whether records have arrived: MySQL cannot
	// tell by itself. It costs three look-ups in an index. Default: 20ms.
	WatchInterval time.Duration
}

// Tx is a transaction of database/sql: *sql.Tx and what embeds it. A *sql.DB does not fit.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

type engine = sqlstore.Engine[Tx]

// Store is an outbox, its relay's source and an inbox in one database. It is safe for
// concurrent use.
type Store struct {
	engine
	db     *sql.DB
	owned  bool
	cfg    Config
	server atomic.Pointer[server] // known after the first insertion
}

// New returns a store on db, which must be opened with the driver "mysql" of
// go-sql-driver/mysql and name a database. It does not connect.
func New(db *sql.DB, cfg *Config) (*Store, error) {
	if db == nil {
		return nil, errors.New("mysql: db must not be nil")
	}
	s := &Store{db: db}
	if cfg != nil {
		s.cfg = *cfg
	}
	if s.cfg.WatchInterval < 0 {
		return nil, errors.New("mysql: Config.WatchInterval must not be negative")
	}
	if s.cfg.WatchInterval == 0 {
		s.cfg.WatchInterval = 20 * time.Millisecond
	}
	s.engine = sqlstore.New(s.dialect(), db, s.begin)
	return s, nil
}

// DB returns the database that the store works on.
func (s *Store) DB() *sql.DB { return s.db }

// Close closes the *sql.DB if Open has made it. It does nothing to the one given to New.
func (s *Store) Close() error {
	if !s.owned {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("mysql: close: %w", err)
	}
	return nil
}

// InTx runs fn in a transaction at READ COMMITTED. It commits if fn returns nil, and rolls
// back if fn fails or panics. fn runs once: a deadlock is the caller's to repeat.
func (s *Store) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, readCommitted)
	if err != nil {
		return fmt.Errorf("mysql: begin transaction: %w", err)
	}
	defer tx.Rollback() // for an error or a panic; after a commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("mysql: commit: %w", err)
	}
	return nil
}

// readCommitted is for our own transactions: no gap is locked, so producers never wait.
var readCommitted = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

func (s *Store) begin(ctx context.Context) (Tx, func(), error) {
	tx, err := s.db.BeginTx(ctx, readCommitted)
	return tx, func() {}, err
}

// fail names the package and what was done.
func fail(doing string, err error) error { return sqlstore.Fail("mysql", doing, err) }
