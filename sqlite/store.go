package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley/internal/sqlstore"
)

// Config holds the choices for a store.
type Config struct {
	// BusyTimeout is how long a statement waits for another writer, on connections that
	// Open makes. Default: 5s.
	BusyTimeout time.Duration
	// WatchInterval is how often a relay looks whether another connection has committed.
	// It costs a few microseconds each time. Default: 20ms.
	WatchInterval time.Duration
	// Lease is how long a relay may hold records without settling them; then others may
	// have them. It must be longer than RelayConfig.HoldLimit. Default: 15s.
	Lease time.Duration
}

func (c *Config) complete() error {
	var errs []error
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

// Tx is a transaction of database/sql: *sql.Tx and what embeds it. A *sql.DB does not fit.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

type engine = sqlstore.Engine[Tx]

// Store is an outbox, its relay's source and an inbox in one SQLite file. It is safe for
// concurrent use.
type Store struct {
	engine
	db    *sql.DB
	owned bool
	file  string
	cfg   Config
	turn  chan struct{} // holds the token of the one writer
	ended broadcast     // after each of the store's own transactions
	table string        // one that exists, to take the write lock with
}

// New returns a store on db, which must be opened with the driver "sqlite" of
// modernc.org/sqlite on a file, best as Open does it: WAL, a busy timeout and
// _txlock=immediate. Without WAL and without a busy timeout a commit fails with
// SQLITE_BUSY if a relay happens to look at the file at that moment.
// New reads the file's name, and refuses databases in memory.
func New(db *sql.DB, cfg *Config) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlite: db must not be nil")
	}
	s := &Store{db: db, turn: make(chan struct{}, 1), table: "parley_lease"}
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
	s.engine = sqlstore.New(dialect(), db, s.begin)
	return s, nil
}

// fileOf asks for the name of the database file.
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

// DB returns the database that the store works on.
func (s *Store) DB() *sql.DB { return s.db }

// Close closes the *sql.DB if Open has made it. It does nothing to the one given to New.
func (s *Store) Close() error {
	if !s.owned {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

// InTx runs fn in a transaction that has the write lock from its beginning, for which it
// waits until ctx ends. It commits if fn returns nil, and rolls back if fn fails or panics.
// fn runs at most once. It must not begin another transaction of the store: that one would
// wait for fn's own.
func (s *Store) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, done, err := s.beginWrite(ctx)
	if err != nil {
		return fmt.Errorf("sqlite: begin transaction: %w", err)
	}
	defer done()
	defer tx.Rollback() // for an error or a panic; after a commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlite: commit: %w", err)
	}
	return nil
}

func (s *Store) begin(ctx context.Context) (Tx, func(), error) { return s.beginWrite(ctx) }

// fail names the package and what was done.
func fail(doing string, err error) error { return sqlstore.Fail("sqlite", doing, err) }

// beginWrite begins a transaction and takes the write lock, for a *sql.DB without
// _txlock=immediate too. The store's own transactions queue up for their turn first:
// SQLite's way to wait is to try again after a pause, in which others overtake.
func (s *Store) beginWrite(ctx context.Context) (tx *sql.Tx, done func(), err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	done = func() {
		<-s.turn
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

// takeWriteLock changes no row, but as a statement that writes it takes the write lock
// before it looks. As the first statement it waits for other writers.
func takeWriteLock(ctx context.Context, tx sqlstore.Tx) error {
	return lockTable(ctx, tx, "parley_lease")
}

func lockTable(ctx context.Context, tx sqlstore.Tx, table string) error {
	_, err := tx.ExecContext(ctx, "UPDATE "+table+" SET id = id WHERE 0")
	return err
}
