package sqlstore

import (
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
)

// Migrations of another table must change this table only.
func TestMigrationsOfAnotherTableAreTheFilesOfFailedDeliveriesWithItsName(t *testing.T) {
	files := failedFiles{fstest.MapFS{
		"migrations/1_outbox.sql": {Data: []byte("CREATE TABLE parley_outbox")},
		"migrations/2_failed.sql": {Data: []byte("CREATE TABLE parley_failed; CREATE INDEX parley_failed_due ON parley_failed")},
	}, FailureNames("orders_failed")}
	entries, err := fs.ReadDir(files, "migrations")
	if err != nil || len(entries) != 1 || entries[0].Name() != "2_failed.sql" {
		t.Errorf("files %v (%v), want 2_failed.sql", entries, err)
	}
	text, err := fs.ReadFile(files, "migrations/2_failed.sql")
	if want := "CREATE TABLE orders_failed; CREATE INDEX orders_failed_due ON orders_failed"; err != nil || string(text) != want {
		t.Errorf("text %q (%v), want %q", text, err, want)
	}
	if _, err := files.Open("migrations/3.sql"); err == nil {
		t.Error("a missing file was opened")
	}
	if names, _ := fs.Glob(files, "migrations/*.sql"); !slices.Equal(names, []string{"migrations/2_failed.sql"}) {
		t.Errorf("a search finds %v", names)
	}
}
