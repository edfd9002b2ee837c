package sqlite

import (
	"context"
	"embed"
	"fmt"
	"slices"

	"github.com/pressly/goose/v3"

	"github.com/parley-go/parley/internal/sqlstore"
)

//go:embed migrations/*.sql
var files embed.FS

var migrations = sqlstore.Migrations{Files: files, Dialect: goose.DialectSQLite3}

// A Migration is one step of the tables' history.
type Migration struct {
	Version int64
	Name    string
	Applied bool
}

// Migrate brings the tables up to date. Several processes may do it at once.
func (s *Store) Migrate(ctx context.Context) error {
	err := sqlstore.Retry(ctx, transient, func() error { return migrations.Up(ctx, s.db) })
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
	steps, err := migrations.Status(ctx, s.db)
	if err != nil {
		return nil, fail("migration status", err)
	}
	out := make([]Migration, len(steps))
	for i, step := range steps {
		out[i] = Migration(step)
	}
	return out, nil
}

// MigrationSQL returns the text of all migrations, in goose's form, for teams that run their own.
func MigrationSQL() (string, error) {
	text, err := migrations.SQL()
	if err != nil {
		return "", fmt.Errorf("sqlite: read migrations: %w", err)
	}
	return text, nil
}
