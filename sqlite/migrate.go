package sqlite

import (
	"context"
	"embed"
	"slices"

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
	err := sqlstore.Retry(ctx, transient, func() error { return migrations.UpAll(ctx, s.db, s.cfg.FailedTable) })
	if err != nil && s.migrated(ctx) {
		return nil // another process has been faster
	}
	return fail("migrate", err)
}

func (s *Store) migrated(ctx context.Context) bool {
	steps, err := s.MigrationStatus(ctx)
	return err == nil && !slices.ContainsFunc(steps, func(m Migration) bool { return !m.Applied })
}

// MigrationStatus lists the migrations, in order, and which of them are applied.
func (s *Store) MigrationStatus(ctx context.Context) ([]Migration, error) {
	out, err := sqlstore.StatusAs[Migration](ctx, migrations, s.db, s.cfg.FailedTable)
	return out, fail("migration status", err)
}

// MigrationSQL returns the text of all migrations, in goose's form, for teams that apply migrations themselves.
func MigrationSQL() (string, error) {
	text, err := migrations.SQL()
	return text, fail("read migrations", err)
}
