package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// A Script is the text of one migration.
type Script struct {
	Version int64
	Text    string
}

// SQLAll returns the statements of what UpAll does.
func (m Migrations) SQLAll(failedTable string) (string, error) {
	if failedTable == "" || failedTable == FailedTable {
		return m.SQL()
	}
	if err := CheckFailedTable(failedTable); err != nil {
		return "", err
	}
	text, err := m.SQL()
	if err != nil {
		return "", err
	}
	more, err := m.ForFailures(failedTable).SQL()
	return text + "\n" + more, err
}

// SQL returns the statements of all migrations, in order, and those that record them as applied.
func (m Migrations) SQL() (string, error) {
	names, err := fs.Glob(m.Files, "migrations/*.sql")
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	var scripts []Script
	for _, name := range names {
		text, err := fs.ReadFile(m.Files, name)
		if err != nil {
			return "", err
		}
		version, err := goose.NumericComponent(name)
		if err != nil {
			return "", err
		}
		scripts = append(scripts, Script{version, string(text)})
	}
	return Statements(m.Dialect, m.table(), scripts)
}

// Statements returns the statements of migrations, and those that record them in a table of versions. Without the records `migrate up`
// would create the tables again, and fail.
func Statements(dialect goose.Dialect, versions string, scripts []Script) (string, error) {
	var b strings.Builder
	records := []string{"(0, TRUE)"} // goose begins its table with this row
	for _, s := range scripts {
		b.WriteString(upStatements(s.Text))
		b.WriteByte('\n')
		records = append(records, fmt.Sprintf("(%d, TRUE)", s.Version))
	}
	table, err := versionTable(dialect, versions)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "-- The versions of the statements above: migrate status and migrate up read them.\n%s;\nINSERT INTO %s (version_id, is_applied) VALUES %s;\n",
		table, versions, strings.Join(records, ", "))
	return b.String(), nil
}

// upStatements returns the statements of a migration without those that undo it, and without goose's annotations.
func upStatements(text string) string {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	var b strings.Builder
	for line := range strings.Lines(up) {
		if !strings.HasPrefix(strings.TrimSpace(line), "-- +goose") {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// versionTable returns the statement with which goose creates its table of versions.
func versionTable(dialect goose.Dialect, name string) (string, error) {
	store, err := database.NewStore(dialect, name)
	if err != nil {
		return "", err
	}
	var r recorder
	if err := store.CreateVersionTable(context.Background(), &r); err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSpace(r.statement), ";"), nil
}

// A recorder keeps the statement that it should execute.
type recorder struct {
	*sql.DB   // nil: nothing is read
	statement string
}

// ExecContext implements database.DBTxConn.
func (r *recorder) ExecContext(_ context.Context, query string, _ ...any) (sql.Result, error) {
	r.statement = query
	return driver.RowsAffected(0), nil
}
