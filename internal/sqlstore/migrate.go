package sqlstore

import (
	"context"
	"database/sql"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// Migrations are a package's goose files, in its folder "migrations".
type Migrations struct {
	Files   fs.FS
	Dialect goose.Dialect
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
	return goose.NewProvider(m.Dialect, db, files, goose.WithTableName("parley_migrations"))
}

// Up applies what is missing.
func (m Migrations) Up(ctx context.Context, db *sql.DB) error {
	p, err := m.provider(db)
	if err == nil {
		_, err = p.Up(ctx)
	}
	return err
}

// Status lists all migrations, in order.
func (m Migrations) Status(ctx context.Context, db *sql.DB) ([]Step, error) {
	p, err := m.provider(db)
	if err != nil {
		return nil, err
	}
	// Not the provider's Status: it reads times, for which MySQL's driver needs parseTime.
	at, err := p.GetDBVersion(ctx)
	if err != nil {
		return nil, err
	}
	sources := p.ListSources()
	out := make([]Step, len(sources))
	for i, s := range sources {
		out[i] = Step{s.Version, path.Base(s.Path), s.Version <= at}
	}
	return out, nil
}

// SQL returns the text of all migrations, in order.
func (m Migrations) SQL() (string, error) {
	names, err := fs.Glob(m.Files, "migrations/*.sql")
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		text, err := fs.ReadFile(m.Files, name)
		if err != nil {
			return "", err
		}
		b.Write(text)
	}
	return b.String(), nil
}
