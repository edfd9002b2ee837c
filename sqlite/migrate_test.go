package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

// openOld returns a store on a file as the first version left it, with one record and one identity in it.
func openOld(t *testing.T, cfg *sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "old.db"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	text, err := os.ReadFile("migrations/00001_outbox.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	for _, q := range []string{
		up,
		"CREATE TABLE parley_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))",
		"INSERT INTO parley_migrations (version_id, is_applied) VALUES (0, 1), (1, 1)",
	} {
		if _, err := s.DB().ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	insert(t, s, parley.Record{Message: parley.Message{Exchange: "orders", Kind: parley.KindCommand, Body: []byte("{}")}})
	if err := s.Once(t.Context(), "billing", "id:7", func(context.Context, sqlite.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnExistingDatabaseIsUpgradedInPlace(t *testing.T) {
	s := openOld(t, nil)
	err := s.Failures().Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), `run "parley migrate up"`) {
		t.Errorf("Check of a database without the table returns %v, want an error that says what to run", err)
	}
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Failures().Check(t.Context()); err != nil {
		t.Errorf("Check after the upgrade: %v", err)
	}
	keep(t, s, "billing", failed([]byte("{}")))
	if n := len(claimable(t, s, parley.RelayModeOrdered).Records()); n != 1 {
		t.Errorf("after the upgrade a relay gets %d records, want the one", n)
	}
}

// sweepOld sweeps all identities that were recorded before now, by a clock with milliseconds.
func sweepOld(t *testing.T, s *sqlite.Store) int {
	t.Helper()
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
	n, err := s.SweepInbox(t.Context(), "billing", time.Millisecond, 10)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnInboxIsSweptWithoutTheTableOfFailures(t *testing.T) {
	s := openOld(t, nil)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB().ExecContext(t.Context(), "DROP TABLE parley_failed"); err != nil {
		t.Fatal(err)
	}
	if n := sweepOld(t, s); n != 1 {
		t.Errorf("swept %d, want the one identity", n)
	}
}

func TestFailuresMayBeInATableWithAnotherName(t *testing.T) {
	s := openOld(t, &sqlite.Config{FailedTable: "order_failures"})
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Failures().Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := failed([]byte("{}"))
	f.Identity, f.State = "id:7", parley.FailureParked
	keep(t, s, "billing", f)
	if n := sweepOld(t, s); n != 0 {
		t.Errorf("swept %d, want the identity of the failure to stay", n)
	}
	for table, want := range map[string]int{"order_failures": 1, "order_failures_body": 1, "parley_failed": 0} {
		var n int
		if err := s.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil || n != want {
			t.Errorf("the table %s has %d rows (%v), want %d", table, n, err, want)
		}
	}
	steps, err := s.MigrationStatus(t.Context())
	if last := steps[len(steps)-1]; err != nil || !last.Applied || last.Name != "00007_failed_state.sql for order_failures" {
		t.Errorf("the last migration is %+v (%v), want that of the table, applied", last, err)
	}
	for _, name := range []string{"a b", "x;DROP", "parley_lease", "parley_failed_body", strings.Repeat("x", 50)} {
		if _, err := sqlite.New(s.DB(), &sqlite.Config{FailedTable: name}); err == nil || !strings.Contains(err.Error(), "FailedTable") {
			t.Errorf("FailedTable %q returns %v, want an error that names it", name, err)
		}
	}
}

func TestMigrateMayRunInParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := sqlite.Open(path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(s.Migrate(t.Context()), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := openAt(t, path, nil)
	steps, err := s.MigrationStatus(t.Context())
	if err != nil || len(steps) == 0 || !steps[0].Applied || steps[0].Name != "00001_outbox.sql" {
		t.Errorf("the migrations are %+v (%v), want all applied", steps, err)
	}
	text, err := sqlite.MigrationSQL(nil)
	if err != nil || !strings.Contains(text, "CREATE TABLE parley_outbox") {
		t.Errorf("MigrationSQL returns %q (%v)", text, err)
	}
}

// Teams that run the statements by hand must not drop the tables with the last ones, and may use migrate up afterwards.
func TestTheStatementsOfMigrationsMakeTheTablesAndRecordTheirVersions(t *testing.T) {
	text, err := sqlite.MigrationSQL(nil)
	if err != nil || strings.Contains(text, "DROP TABLE") || strings.Contains(text, "+goose") {
		t.Fatalf("MigrationSQL returns %v and statements that drop:\n%s", err, text)
	}
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "by-hand.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.DB().ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	steps, err := s.MigrationStatus(t.Context())
	for _, step := range steps {
		if !step.Applied {
			t.Errorf("migration %s is not recorded as applied", step.Name)
		}
	}
	if err := errors.Join(err, s.Migrate(t.Context()), s.Failures().Check(t.Context())); err != nil || len(steps) == 0 {
		t.Errorf("%d migrations: %v", len(steps), err)
	}
}
