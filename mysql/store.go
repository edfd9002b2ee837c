package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley/internal/sqlstore"
)

// Config configures a store.
type Config struct {
	// WatchInterval is how often a relay checks for new records: MySQL has no
	// notifications. A check costs three index lookups. Default: 20ms.
	WatchInterval time.Duration
	// RelayDB gives the relay and the store's own work connections of their own. So handlers that use
	// up those of the store do not stop the relay. Six are enough. Default: the store's.
	RelayDB *sql.DB
	// FailedTable is the table of failed deliveries; their bodies are in a second table with the suffix
	// _body. It must be a plain identifier. Migrate creates both. Default: parley_failed.
	FailedTable string
	// BeforeConnect is called before each connection of a store of Open, with a copy of its configuration, and may change the
	// password or TLS. Default: none.
	BeforeConnect func(ctx context.Context, c *driver.Config) error
}

// Tx is a transaction of database/sql: *sql.Tx and types that embed it. A *sql.DB does not fit.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

type engine = sqlstore.Engine[Tx]

// Store is an outbox, its relay's source, an inbox and a table of failed deliveries in one database. It is safe for
// concurrent use.
type Store struct {
	engine
	db    *sql.DB
	relay *sql.DB
	owned bool
	cfg   Config
	// unhurried is the configuration of Open without a read timeout, for migrations; else nil.
	unhurried *driver.Config
	server    atomic.Pointer[server] // set by the first insertion

	sessionChecked atomic.Bool
	maxPacket      atomic.Int64 // max_allowed_packet, 0 before sessionChecked
}

// New returns a store on db, which must be opened with the driver "mysql" of
// go-sql-driver/mysql and name a database. It does not connect. A connection with autocommit=0 is refused when
// the store is first used.
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
	s.relay = cmp.Or(s.cfg.RelayDB, db)
	if s.cfg.FailedTable == "" {
		s.cfg.FailedTable = sqlstore.FailedTable
	}
	if err := sqlstore.CheckFailedTable(s.cfg.FailedTable); err != nil {
		return nil, fmt.Errorf("mysql: Config.%w", err)
	}
	s.engine = sqlstore.New(s.dialect(), db, s.begin)
	sqlstore.OnItsOwn(&s.engine, s.relay, s.beginOwn)
	return s, nil
}

// DB returns the database of the store.
func (s *Store) DB() *sql.DB { return s.db }

// Close closes the *sql.DB if Open has created it. It does not close a *sql.DB passed to New.
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
// back if fn fails or panics. fn runs once: the caller must repeat it after a deadlock.
//
// fn must return every database error: a deadlock has rolled back the whole transaction. If fn returns nil nevertheless, or has run a
// statement that commits by itself, such as DROP TABLE, InTx returns an error.
//
// A session on a read-only server is closed: after a failover the next one may reach the new primary.
func (s *Store) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if err := s.checkSession(ctx); err != nil {
		return fail("begin transaction", err)
	}
	tx, end, err := beginSession(ctx, s.db)
	if err != nil {
		return fmt.Errorf("mysql: begin transaction: %w", err)
	}
	defer func() { end(err) }() // also after a panic; it does nothing after a commit
	if err = mark(ctx, tx); err != nil {
		return fmt.Errorf("mysql: begin transaction: %w", err)
	}
	if err = fn(tx); err != nil {
		return err
	}
	if err = unbroken(ctx, tx, "", ""); err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("mysql: commit: %w", err)
	}
	return nil
}

// readCommitted is for our own transactions: no gap is locked, so producers never wait.
var readCommitted = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

func (s *Store) begin(ctx context.Context) (Tx, func(error), error) { return s.beginOn(ctx, s.db) }

func (s *Store) beginOwn(ctx context.Context) (Tx, func(error), error) {
	return s.beginOn(ctx, s.relay)
}

func (s *Store) beginOn(ctx context.Context, db *sql.DB) (Tx, func(error), error) {
	if err := s.checkSession(ctx); err != nil {
		return nil, nil, err
	}
	tx, end, err := beginSession(ctx, db)
	return tx, end, err
}

// fail names the package and what was done.
func fail(doing string, err error) error { return sqlstore.Fail("mysql", doing, err) }
