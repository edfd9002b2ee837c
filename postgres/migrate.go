package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/parley-go/parley/internal/sqlstore"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationPatience is how long a process waits for the migrations of another one.
const migrationPatience = time.Minute

// A Migration is one step in the history of the tables.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// migrationTable records the applied migrations.
const migrationTable = "parley_migrations"

// A migrator brings the tables up to date. It holds a lock, so that replicas that start at once do not create the same table twice:
// a session lock, or pooled if that is not nil.
type migrator struct {
	db     *sql.DB
	pooled lock.Locker
	failed string // Config.FailedTable
	// pollOnly makes no trigger for notifications.
	pollOnly bool
}

// A migrationStep is a list of migrations with its own table of applied migrations.
type migrationStep struct {
	provider *goose.Provider
	table    string // the table of failed deliveries that it creates; empty for all tables under their default names
}

// steps returns the migrations. A table of failed deliveries with another name has its own list, made of
// the same statements: the setting may change after the first list was applied.
func (m *migrator) steps() ([]migrationStep, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	all, err := m.provider(files, migrationTable)
	if err != nil {
		return nil, err
	}
	steps := []migrationStep{{provider: all}}
	if m.failed == "" || m.failed == FailedTable {
		return steps, nil
	}
	list, err := failedMigrations(m.failed)
	if err != nil {
		return nil, err
	}
	own, err := m.provider(nil, failedMigrationTable(m.failed), goose.WithGoMigrations(list...))
	return append(steps, migrationStep{own, m.failed}), err
}

func (m *migrator) provider(files fs.FS, table string, more ...goose.ProviderOption) (*goose.Provider, error) {
	locking := goose.WithLocker(m.pooled)
	if m.pooled == nil {
		session, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(migrationPatience/time.Second)))
		if err != nil {
			return nil, err
		}
		locking = goose.WithSessionLocker(session)
	}
	more = append(more, goose.WithTableName(table), locking)
	return goose.NewProvider(goose.DialectPostgres, m.db, files, more...)
}

// failedMigrationTable returns the table that records the migrations of a table of failed deliveries. goose writes the name without
// quotes, so PostgreSQL converts capital letters to small ones: a hash keeps such names apart.
func failedMigrationTable(table string) string {
	lower := strings.ToLower(table)
	if lower != table {
		h := fnv.New32a()
		h.Write([]byte(table))
		lower += fmt.Sprintf("_%08x", h.Sum32())
	}
	return lower + "_migrations"
}

// failedName matches the table of failed deliveries, or one of its indexes, in a migration.
var failedName = regexp.MustCompile(`\b` + FailedTable + `(_\w+)?\b`)

// failedMigrations returns the migrations of the table of failed deliveries, with another name.
func failedMigrations(table string) ([]*goose.Migration, error) {
	scripts, err := failedScripts(table)
	out := make([]*goose.Migration, len(scripts))
	for i, s := range scripts {
		out[i] = goose.NewGoMigration(s.Version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, s.Text)
			return err
		}}, nil)
	}
	return out, err
}

// failedScripts returns the text of failedMigrations.
func failedScripts(table string) ([]sqlstore.Script, error) {
	names, err := fs.Glob(migrations, "migrations/*_failed*.sql")
	if err != nil {
		return nil, err
	}
	var out []sqlstore.Script
	for _, name := range names {
		text, err := upSection(name)
		if err != nil {
			return nil, err
		}
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		out = append(out, sqlstore.Script{Version: version, Text: failedName.ReplaceAllStringFunc(text, func(found string) string {
			return pgx.Identifier{table + strings.TrimPrefix(found, FailedTable)}.Sanitize()
		})})
	}
	return out, nil
}

// upSection returns the statements of a migration without its down section.
func upSection(name string) (string, error) {
	text, err := migrations.ReadFile(name)
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	return strings.TrimSpace(up) + "\n", err
}

// A pooledLock is the same lock, held by a transaction on a connection of its own. In a transaction pooler a session lock would
// never be released, because the unlock statement runs in another session.
type pooledLock struct {
	pool *pgxpool.Pool
	conn *pgx.Conn
}

// Lock implements lock.Locker.
func (l *pooledLock) Lock(ctx context.Context, _ *sql.DB) (err error) {
	ctx, cancel := context.WithTimeout(ctx, migrationPatience)
	defer cancel()
	if l.conn, err = connectLike(ctx, l.pool); err != nil {
		return err
	}
	for _, q := range []string{"BEGIN", stayIdle, takeLock} {
		if _, err = l.conn.Exec(ctx, q); err != nil {
			return errors.Join(fmt.Errorf("wait for the migrations of another process: %w", err), l.conn.Close(context.WithoutCancel(ctx)))
		}
	}
	return nil
}

// Unlock implements lock.Locker.
func (l *pooledLock) Unlock(ctx context.Context, _ *sql.DB) error { return l.conn.Close(ctx) }

// stayIdle prevents the server from ending the transaction, and with it the lock, while the migrations run in another session.
const stayIdle = "SET LOCAL idle_in_transaction_session_timeout = 0"

var takeLock = fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", lock.DefaultLockID)

// A sqlLock is a pooledLock over database/sql, on a second connection of the same *sql.DB.
type sqlLock struct{ tx ownTx }

// Lock implements lock.Locker.
func (l *sqlLock) Lock(ctx context.Context, db *sql.DB) (err error) {
	if db.Stats().MaxOpenConnections == 1 {
		return errors.New("with Config.PollOnly a second connection must hold the lock of the migrations (raise SetMaxOpenConns to 2)")
	}
	ctx, cancel := context.WithTimeout(ctx, migrationPatience)
	defer cancel()
	if l.tx, err = ownSQL(db, nil)(ctx); err != nil {
		return err
	}
	for _, q := range []string{stayIdle, takeLock} {
		if _, err = l.tx.exec(ctx, q); err != nil {
			return errors.Join(fmt.Errorf("wait for the migrations of another process: %w", err), l.tx.rollback(ctx))
		}
	}
	return nil
}

// Unlock implements lock.Locker.
func (l *sqlLock) Unlock(ctx context.Context, _ *sql.DB) error { return l.tx.rollback(ctx) }

func (m *migrator) up(ctx context.Context) error {
	steps, err := m.steps()
	for i := 0; err == nil && i < len(steps); i++ {
		_, err = steps[i].provider.Up(ctx)
	}
	if err == nil {
		err = m.ensureTrigger(ctx)
	}
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

// status writes nothing: the providers' own status creates the tables of versions.
func (m *migrator) status(ctx context.Context) ([]Migration, error) {
	steps, err := m.steps()
	if err != nil {
		return nil, fmt.Errorf("postgres: migration status: %w", err)
	}
	var out []Migration
	for _, step := range steps {
		applied, err := m.applied(ctx, step.versions())
		if err != nil {
			return nil, fmt.Errorf("postgres: migration status: %w", err)
		}
		for _, s := range step.provider.ListSources() {
			name := path.Base(s.Path)
			if step.table != "" {
				name = "table " + step.table
			}
			out = append(out, Migration{s.Version, name, applied[s.Version]})
		}
	}
	return out, nil
}

// versions returns the table that records the applied migrations of the step.
func (s *migrationStep) versions() string {
	if s.table == "" {
		return migrationTable
	}
	return failedMigrationTable(s.table)
}

// applied returns the versions that a table records as applied. Without the table nothing was ever applied.
func (m *migrator) applied(ctx context.Context, table string) (map[int64]bool, error) {
	var exists bool
	if err := m.db.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&exists); err != nil || !exists {
		return nil, err
	}
	rows, err := m.db.QueryContext(ctx, "SELECT version_id, is_applied FROM "+table+" ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	applied := map[int64]bool{}
	for rows.Next() {
		var version int64
		var is bool
		if err := rows.Scan(&version, &is); err != nil {
			return nil, err
		}
		applied[version] = is // the last row of a version counts
	}
	return applied, rows.Err()
}
