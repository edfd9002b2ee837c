package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-go/parley/internal/sqlstore"
)

// Config configures a store.
type Config struct {
	// BusyTimeout is how long a statement waits for another writer, on connections that
	// Open creates. Default: 5s.
	BusyTimeout time.Duration
	// WatchInterval is how often a relay checks whether another connection has committed.
	// A check costs a few microseconds. Default: 20ms.
	WatchInterval time.Duration
	// Lease is how long a relay may hold records without settling them. Then other relays may
	// claim them. It must be longer than RelayConfig.HoldLimit. Default: 15s.
	Lease time.Duration
	// ReadOnly makes Open read an existing file only: it creates no file, changes nothing, and does not switch the file to WAL. It is for
	// diagnostics. A file that is in WAL mode and that no process has open is read as it is when it is opened. Default: false.
	ReadOnly bool
	// FailedTable is the table of failed deliveries; their bodies are in a second table with the suffix
	// _body. It must be a plain identifier. Migrate creates both. Default: parley_failed.
	FailedTable string
	// Logger receives the warning of New about settings of its *sql.DB. Default: slog.Default().
	Logger *slog.Logger
}

func (c *Config) complete() error {
	var errs []error
	if c.FailedTable == "" {
		c.FailedTable = sqlstore.FailedTable
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if err := sqlstore.CheckFailedTable(c.FailedTable); err != nil {
		errs = append(errs, fmt.Errorf("sqlite: Config.%w", err))
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"BusyTimeout", &c.BusyTimeout, 5 * time.Second},
		{"WatchInterval", &c.WatchInterval, 20 * time.Millisecond},
		{"Lease", &c.Lease, 15 * time.Second},
	} {
		if *f.value < 0 {
			errs = append(errs, fmt.Errorf("sqlite: Config.%s must not be negative", f.name))
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	return errors.Join(errs...)
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

// Store is an outbox, its relay's source, an inbox and a table of failed deliveries in one SQLite file. It is safe for
// concurrent use.
type Store struct {
	engine
	db    *sql.DB
	owned bool
	file  string
	cfg   Config
	turn  turns     // of the store's own writers
	ended broadcast // signalled after each of the store's own transactions
	table string    // an existing table, to take the write lock with
}

// New returns a store on db, which must be opened with the driver "sqlite" of
// modernc.org/sqlite on a file. Recommended are Open's settings: WAL, a busy timeout and
// _txlock=immediate. Without _txlock=immediate a transaction that reads before it writes fails with SQLITE_BUSY_SNAPSHOT (517) if
// a relay or another writer commits in between, and no busy timeout helps. Without WAL and without a busy timeout a commit fails with
// SQLITE_BUSY if a relay reads the file at that moment.
// New logs a warning that names the missing settings. It reads the file's name, and refuses databases in memory.
func New(db *sql.DB, cfg *Config) (*Store, error) {
	s, err := newStore(db, cfg)
	if err == nil {
		s.warnSettings()
	}
	return s, err
}

func newStore(db *sql.DB, cfg *Config) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlite: db must not be nil")
	}
	s := &Store{db: db, table: "parley_lease"}
	if cfg != nil {
		s.cfg = *cfg
	}
	if err := s.cfg.complete(); err != nil {
		return nil, err
	}
	file, err := fileOf(db)
	if err != nil {
		return nil, err
	}
	s.file = file
	s.engine = sqlstore.New(s.dialect(), db, s.begin)
	return s, nil
}

// fileOf returns the name of the database file.
func fileOf(db *sql.DB) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var file string
	err := sqlstore.Retry(ctx, transient, func() error {
		return db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file)
	})
	if err != nil {
		return "", fmt.Errorf("sqlite: read the name of the database file: %w", err)
	}
	if file == "" {
		return "", errInMemory
	}
	return file, nil
}

var errInMemory = errors.New("sqlite: a database in memory cannot be shared: each connection would see its own; " +
	"use a file (in tests: filepath.Join(t.TempDir(), \"test.db\")), or package memory")

// DB returns the database of the store.
func (s *Store) DB() *sql.DB { return s.db }

// Close closes the *sql.DB if Open has created it. It does not close a *sql.DB passed to New.
func (s *Store) Close() error {
	if !s.owned {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

// InTx runs fn in a transaction that has the write lock from its beginning. It waits for the lock
// until ctx ends. It commits if fn returns nil, and rolls back if fn fails or panics.
// fn runs at most once. It must not begin another transaction of the store: that one would
// wait for fn itself.
func (s *Store) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, done, err := s.beginWrite(ctx)
	if err != nil {
		return fmt.Errorf("sqlite: begin transaction: %w", err)
	}
	defer done()
	defer tx.Rollback() // for an error or a panic; it does nothing after a commit
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlite: commit: %w", err)
	}
	return nil
}

func (s *Store) begin(ctx context.Context) (Tx, func(error), error) {
	tx, done, err := s.beginWrite(ctx)
	return tx, func(error) { done() }, err
}

// beginFirst is begin for short transactions that must not wait for all queued handlers.
func (s *Store) beginFirst(ctx context.Context) (Tx, func(error), error) {
	tx, done, err := s.beginInTurn(ctx, true)
	return tx, func(error) { done() }, err
}

// fail adds the package and the operation to an error.
func fail(doing string, err error) error { return sqlstore.Fail("sqlite", doing, err) }

// beginWrite begins a transaction and takes the write lock, also for a *sql.DB without
// _txlock=immediate. The store's own transactions queue up first:
// SQLite waits by retrying after a delay, during which other connections can overtake.
func (s *Store) beginWrite(ctx context.Context) (*sql.Tx, func(), error) {
	return s.beginInTurn(ctx, false)
}

func (s *Store) beginInTurn(ctx context.Context, first bool) (tx *sql.Tx, done func(), err error) {
	if err := s.turn.take(ctx, first); err != nil {
		return nil, nil, err
	}
	done = func() {
		s.turn.pass()
		s.ended.signal()
	}
	err = sqlstore.Retry(ctx, transient, func() error {
		if tx, err = s.db.BeginTx(ctx, nil); err != nil || s.owned {
			return err
		}
		if err = lockTable(ctx, tx, s.table); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return nil
	})
	if err != nil {
		done()
	}
	return tx, done, err
}

// takeWriteLock changes no row. As a writing statement it takes the write lock
// before it reads. As the first statement it waits for other writers.
func takeWriteLock(ctx context.Context, tx sqlstore.Tx) error {
	return lockTable(ctx, tx, "parley_lease")
}

func lockTable(ctx context.Context, tx sqlstore.Tx, table string) error {
	_, err := tx.ExecContext(ctx, "UPDATE "+table+" SET id = id WHERE 0")
	return err
}
