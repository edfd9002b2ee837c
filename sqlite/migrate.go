package sqlite

import (
	"context"
	"embed"

	"github.com/pressly/goose/v3"

	"github.com/parley-go/parley/internal/sqlstore"
)

//go:embed migrations/*.sql
var files embed.FS

var migrations = sqlstore.Migrations{Files: files, Dialect: goose.DialectSQLite3}

// A Migration is one step in the history of the tables.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// Migrate brings the tables up to date, and the table of failed deliveries if Config.FailedTable sets another name (its
// versions are in <table>_migrations). Several processes may call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	for before := -1; ; {
		err := sqlstore.Retry(ctx, transient, func() error { return migrations.UpAll(ctx, s.db, s.cfg.FailedTable) })
		if err == nil {
			return nil
		}
		// SQLite has no lock that spans several transactions. So another process may have applied the same migration first.
		applied := s.applied(ctx)
		if applied <= before {
			return fail("migrate", err)
		}
		before = applied
	}
}

// applied returns how many migrations are applied, or -1 if that is unknown.
func (s *Store) applied(ctx context.Context) (n int) {
	var steps []Migration
	err := sqlstore.Retry(ctx, transient, func() (err error) {
		steps, err = s.MigrationStatus(ctx)
		return err
	})
	if err != nil {
		return -1
	}
	for _, step := range steps {
		if step.Applied {
			n++
		}
	}
	return n
}

// MigrationStatus lists the migrations, in order, and which of them are applied.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	out, err := sqlstore.StatusAs[Migration](ctx, migrations, s.db, s.cfg.FailedTable)
	return out, fail("migration status", err)
}

// MigrationSQL returns the statements of what Migrate does on a new database, for teams that apply migrations themselves. They record
// the versions as well. It heeds Config.FailedTable; cfg may be nil.
func MigrationSQL(cfg *Config) (string, error) {
	failedTable := ""
	if cfg != nil {
		failedTable = cfg.FailedTable
	}
	text, err := migrations.SQLAll(failedTable)
	return text, fail("read migrations", err)
}
