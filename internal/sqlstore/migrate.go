package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"path"

	"github.com/pressly/goose/v3"

	"github.com/parley-go/parley"
)

// Migrations are a package's goose files, in its folder "migrations".
type Migrations struct {
	Files   fs.FS
	Dialect goose.Dialect
	// versions is the table of the applied versions; empty means parley_migrations.
	versions string
}

// ForFailures returns the migrations of another table of failed deliveries: the files with "_failed" in their
// name. Such a file must not change any other table. Their versions are in a table of their own.
func (m Migrations) ForFailures(table string) Migrations {
	m.Files, m.versions = failedFiles{m.Files, FailureNames(table)}, table+"_migrations"
	return m
}

// A Step is one migration.
type Step struct {
	Version int64
	Name    string
	Applied bool
}

func (m Migrations) provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(m.Files, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(m.Dialect, db, files, goose.WithTableName(m.table()))
}

// UpAll applies missing migrations, also those of the table of failed deliveries with this name.
func (m Migrations) UpAll(ctx context.Context, db *sql.DB, failedTable string) error {
	if err := m.Up(ctx, db); err != nil || failedTable == FailedTable {
		return err
	}
	return m.ForFailures(failedTable).Up(ctx, db)
}

// StatusAll lists all migrations, in order, and then those of the table of failed deliveries, if it has another name.
func (m Migrations) StatusAll(ctx context.Context, db *sql.DB, failedTable string) ([]Step, error) {
	steps, err := m.Status(ctx, db)
	if err != nil || failedTable == FailedTable {
		return steps, err
	}
	more, err := m.ForFailures(failedTable).Status(ctx, db)
	for i := range more {
		more[i].Name += " for " + failedTable
	}
	return append(steps, more...), err
}

// StatusAs is StatusAll with the steps as a driver package shows them.
func StatusAs[M ~struct {
	Version int64
	Name    string
	Applied bool
}](ctx context.Context, m Migrations, db *sql.DB, failedTable string) ([]M, error) {
	steps, err := m.StatusAll(ctx, db, failedTable)
	if err != nil {
		return nil, err
	}
	out := make([]M, len(steps))
	for i, step := range steps {
		out[i] = M(step)
	}
	return out, nil
}

// Up applies missing migrations.
func (m Migrations) Up(ctx context.Context, db *sql.DB) error {
	p, err := m.provider(db)
	if err == nil {
		_, err = p.Up(ctx)
	}
	return err
}

// Status lists all migrations, in order. It writes nothing: the provider's own functions create the table of versions.
func (m Migrations) Status(ctx context.Context, db *sql.DB) ([]Step, error) {
	p, err := m.provider(db)
	if err != nil {
		return nil, err
	}
	at, err := m.applied(ctx, db)
	if err != nil {
		return nil, err
	}
	sources := p.ListSources()
	out := make([]Step, len(sources))
	for i, s := range sources {
		out[i] = Step{s.Version, path.Base(s.Path), at[s.Version]}
	}
	return out, nil
}

// applied returns the versions that are applied.
func (m Migrations) applied(ctx context.Context, db *sql.DB) (map[int64]bool, error) {
	applied := map[int64]bool{}
	err := Each(ctx, db, "SELECT version_id, is_applied FROM "+m.table()+" ORDER BY id", nil, func(rows *sql.Rows) error {
		var version int64
		var is bool
		err := rows.Scan(&version, &is)
		applied[version] = is // the last row of a version counts
		return err
	})
	if err != nil && errors.Is(missingTables(err), parley.ErrNoTables) {
		return nil, nil // nothing was ever applied
	}
	return applied, err
}

// table returns the table of the applied versions.
func (m Migrations) table() string { return cmp.Or(m.versions, "parley_migrations") }
