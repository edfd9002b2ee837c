package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/parley-go/parley/internal/sqlstore"
)

// MigrationSQL returns the statements of what Migrate does on a new database, for teams that apply migrations themselves. They record
// the versions as well. It heeds Config.Schema, Config.FailedTable and Config.PollOnly; cfg may be nil. With a schema the statements
// set the search path of the session, and reset it at the end.
func MigrationSQL(cfg *Config) (string, error) {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if _, err := newNames(c.Schema, c.FailedTable); err != nil {
		return "", err
	}
	text, err := sqlstore.Migrations{Files: migrations, Dialect: goose.DialectPostgres}.SQL()
	if err == nil && c.FailedTable != "" && c.FailedTable != FailedTable {
		var own string
		own, err = failedSQL(c.FailedTable)
		text += "\n" + own
	}
	if err != nil {
		return "", fmt.Errorf("postgres: read migrations: %w", err)
	}
	var b strings.Builder
	if c.Schema != "" {
		schema := pgx.Identifier{c.Schema}.Sanitize()
		fmt.Fprintf(&b, "CREATE SCHEMA IF NOT EXISTS %s;\nSET search_path TO %[1]s;\n\n", schema)
	}
	b.WriteString(text)
	if c.PollOnly {
		fmt.Fprintf(&b, "\n-- Without LISTEN the outbox has no trigger.\n%s;\n", dropTrigger)
	}
	if c.Schema != "" {
		b.WriteString("\nRESET search_path;\n")
	}
	return b.String(), nil
}

// failedSQL returns the statements that create a table of failed deliveries with another name.
func failedSQL(table string) (string, error) {
	scripts, err := failedScripts(table)
	if err != nil {
		return "", err
	}
	return sqlstore.Statements(goose.DialectPostgres, failedMigrationTable(table), scripts)
}
