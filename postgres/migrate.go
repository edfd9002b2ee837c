package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationPatience is how long one process waits for the migrations of another.
const migrationPatience = time.Minute

// A Migration is one step of the tables' history.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// provider keeps replicas that start at once from making the same table twice: by a lock of the session, or by pooled if
// it is not nil.
func provider(db *sql.DB, pooled *pooledLock) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	locking := goose.WithLocker(pooled)
	if pooled == nil {
		session, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrationPatience/time.Second)))
		if err != nil {
			return nil, err
		}
		locking = goose.WithSessionLocker(session)
	}
	return goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("parley_migrations"), locking)
}

// A pooledLock is the same lock, held by a transaction on a connection of its own: that of a session would stay behind in a
// transaction pooler, where the unlocking comes to another session.
type pooledLock struct {
	cfg  *pgx.ConnConfig
	conn *pgx.Conn
}

// Lock implements lock.Locker.
func (l *pooledLock) Lock(ctx context.Context, _ *sql.DB) (err error) {
	ctx, cancel := context.WithTimeout(ctx, migrationPatience)
	defer cancel()
	if l.conn, err = pgx.ConnectConfig(ctx, l.cfg); err != nil {
		return err
	}
	if _, err = l.conn.Exec(ctx, "BEGIN"); err == nil {
		_, err = l.conn.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lock.DefaultLockID)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("wait for the migrations of another process: %w", err), l.conn.Close(context.WithoutCancel(ctx)))
	}
	return nil
}

// Unlock implements lock.Locker.
func (l *pooledLock) Unlock(ctx context.Context, _ *sql.DB) error { return l.conn.Close(ctx) }

func migrate(ctx context.Context, db *sql.DB, pooled *pooledLock) error {
	p, err := provider(db, pooled)
	if err == nil {
		_, err = p.Up(ctx)
	}
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

func migrationStatus(ctx context.Context, db *sql.DB) ([]Migration, error) {
	p, err := provider(db, nil)
	if err != nil {
		return nil, fmt.Errorf("postgres: migration status: %w", err)
	}
	states, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: migration status: %w", err)
	}
	out := make([]Migration, len(states))
	for i, s := range states {
		out[i] = Migration{s.Source.Version, path.Base(s.Source.Path), s.State == goose.StateApplied}
	}
	return out, nil
}

// MigrationSQL returns the statements of all migrations, for teams that run their own.
func MigrationSQL() (string, error) {
	text, err := migrations.ReadFile("migrations/00001_outbox.sql")
	return string(text), err
}
