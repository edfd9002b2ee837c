package sqlstore

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
)

func TestTheStatementsOfMigrationsAreInTheirOrderAndRecordTheirVersions(t *testing.T) {
	m := Migrations{Dialect: goose.DialectSQLite3, Files: fstest.MapFS{
		"migrations/002_b.sql":  {Data: []byte("-- +goose Up\nsecond;\n-- +goose Down\nundo;\n")},
		"migrations/001_a.sql":  {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nfirst;\n")},
		"migrations/readme.txt": {Data: []byte("no statement")},
	}}
	text, err := m.SQL()
	if err != nil || !strings.HasPrefix(text, "first;\n\nsecond;\n\n-- The versions") || strings.Contains(text, "undo") || strings.Contains(text, "+goose") {
		t.Errorf("text %q (%v), want the first and the second file without what undoes them", text, err)
	}
	if !strings.Contains(text, "CREATE TABLE parley_migrations (") || !strings.HasSuffix(text, "VALUES (0, TRUE), (1, TRUE), (2, TRUE);\n") {
		t.Errorf("text %q records no versions", text)
	}
}
