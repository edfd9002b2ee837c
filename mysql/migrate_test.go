package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

// openOld returns a store on a database as the first version left it, with one record and one identity in it.
func openOld(t *testing.T, cfg *mysql.Config) *mysql.Store {
	t.Helper()
	return openOldDSN(t, testenv.MariaDB(t), cfg)
}

func openOldDSN(t *testing.T, dsn string, cfg *mysql.Config) *mysql.Store {
	t.Helper()
	s, err := mysql.Open(dsn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	text, err := os.ReadFile("migrations/00001_outbox.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	statements := append(strings.Split(up, ";\n"),
		"CREATE TABLE parley_migrations (id SERIAL PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp TIMESTAMP NULL DEFAULT now())",
		"INSERT INTO parley_migrations (version_id, is_applied) VALUES (0, TRUE), (1, TRUE)")
	for _, q := range statements {
		if strings.TrimSpace(q) == "" {
			continue
		}
		if _, err := s.DB().ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	insert(t, s, plain())
	if err := s.Once(t.Context(), "billing", "id:7", func(context.Context, mysql.Tx) error { return nil }); err != nil {
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
	if st, err := s.Stats(t.Context()); err != nil || st.Due != 1 {
		t.Errorf("after the upgrade the outbox has %+v (%v), want its one record", st, err)
	}
}

// lockTable keeps the metadata lock of a table for d, as a long transaction does. Statements that change the table wait for it.
func lockTable(t *testing.T, db *sql.DB, table string, d time.Duration) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	time.AfterFunc(d, func() {
		_ = tx.Rollback()
		close(released)
	})
	t.Cleanup(func() { <-released })
}

func TestAMigrationThatTakesLongerThanTheReadTimeoutSucceeds(t *testing.T) {
	dsn := testenv.MariaDB(t)
	holder := openOldDSN(t, dsn, nil)
	s, err := mysql.Open(dsn+"?readTimeout=1s", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	lockTable(t, holder.DB(), "parley_inbox", 3*time.Second)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Failures().Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAMigrationOverAPoolWithAReadTimeoutNamesIt(t *testing.T) {
	dsn := testenv.MariaDB(t)
	holder := openOldDSN(t, dsn, nil)
	db, err := sql.Open("mysql", dsn+"?readTimeout=1s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := mysql.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	lockTable(t, holder.DB(), "parley_inbox", 3*time.Second)
	if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "readTimeout") {
		t.Errorf("the migration returns %v, want a hint at readTimeout", err)
	}
}

func TestAnInboxIsSweptWithoutTheTableOfFailures(t *testing.T) {
	s := openOld(t, nil)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB().ExecContext(t.Context(), "DROP TABLE parley_failed"); err != nil {
		t.Fatal(err)
	}
	wait(t, time.Millisecond)
	if n, err := s.SweepInbox(t.Context(), "billing", time.Microsecond, 10); n != 1 || err != nil {
		t.Errorf("swept %d (%v), want the one identity", n, err)
	}
}

func TestFailuresMayBeInATableWithAnotherName(t *testing.T) {
	s := openOld(t, &mysql.Config{FailedTable: "order_failures"})
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
	wait(t, time.Millisecond)
	if n, err := s.SweepInbox(t.Context(), "billing", time.Microsecond, 10); n != 0 || err != nil {
		t.Errorf("swept %d (%v), want the identity of the failure to stay", n, err)
	}
	for table, want := range map[string]int{"order_failures": 1, "order_failures_body": 1, "parley_failed": 0} {
		var n int
		if err := s.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil || n != want {
			t.Errorf("the table %s has %d rows (%v), want %d", table, n, err, want)
		}
	}
	steps, err := s.MigrationStatus(t.Context())
	if last := steps[len(steps)-1]; err != nil || !last.Applied || last.Name != "00003_failed_groups.sql for order_failures" {
		t.Errorf("the last migration is %+v (%v), want that of the table, applied", last, err)
	}
	for _, name := range []string{"a b", "x;DROP", "parley_outbox", "parley_failed_body", strings.Repeat("x", 50)} {
		if _, err := mysql.New(s.DB(), &mysql.Config{FailedTable: name}); err == nil || !strings.Contains(err.Error(), "FailedTable") {
			t.Errorf("FailedTable %q returns %v, want an error that names it", name, err)
		}
	}
}

func TestMigrateMayRunInParallelAndAgain(t *testing.T) {
	dsn := testenv.MariaDB(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := mysql.Open(dsn, nil)
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
	s := openDSN(t, dsn)
	steps, err := s.MigrationStatus(t.Context())
	if err != nil || len(steps) == 0 || !steps[0].Applied || steps[0].Name != "00001_outbox.sql" {
		t.Errorf("the migrations are %+v (%v), want all applied", steps, err)
	}
	text, err := mysql.MigrationSQL(nil)
	if err != nil || !strings.Contains(text, "parley_outbox") {
		t.Errorf("MigrationSQL returns %q (%v)", text, err)
	}
}

// Teams that run the statements by hand must not drop the tables with the last ones, and may use migrate up afterwards.
func TestTheStatementsOfMigrationsMakeTheTablesAndRecordTheirVersions(t *testing.T) {
	dsn := testenv.MariaDB(t)
	text, err := mysql.MigrationSQL(nil)
	if err != nil || strings.Contains(text, "DROP TABLE") || strings.Contains(text, "+goose") {
		t.Fatalf("MigrationSQL returns %v and statements that drop:\n%s", err, text)
	}
	s, err := mysql.Open(dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, statement := range strings.SplitAfter(text, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := s.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
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
