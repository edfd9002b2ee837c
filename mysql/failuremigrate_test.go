package mysql_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

// openOld returns a store on a database as the first version left it, with one record and one identity in it.
func openOld(t *testing.T, cfg *mysql.Config) *mysql.Store {
	t.Helper()
	s, err := mysql.Open(testenv.MariaDB(t), cfg)
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

func TestAnInboxIsSweptWithoutTheTableOfFailures(t *testing.T) {
	s := openOld(t, nil)
	wait(t, time.Millisecond)
	if n, err := s.SweepInbox(t.Context(), time.Microsecond, 10); n != 1 || err != nil {
		t.Errorf("swept %d (%v), want the one identity", n, err)
	}
}

// wait waits until the clock of the database has advanced.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
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
	if n, err := s.SweepInbox(t.Context(), time.Microsecond, 10); n != 0 || err != nil {
		t.Errorf("swept %d (%v), want the identity of the failure to stay", n, err)
	}
	for table, want := range map[string]int{"order_failures": 1, "order_failures_body": 1, "parley_failed": 0} {
		var n int
		if err := s.DB().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil || n != want {
			t.Errorf("the table %s has %d rows (%v), want %d", table, n, err, want)
		}
	}
	steps, err := s.MigrationStatus(t.Context())
	if last := steps[len(steps)-1]; err != nil || !last.Applied || last.Name != "00002_failed.sql for order_failures" {
		t.Errorf("the last migration is %+v (%v), want that of the table, applied", last, err)
	}
	for _, name := range []string{"a b", "x;DROP", "parley_outbox", "parley_failed_body", strings.Repeat("x", 50)} {
		if _, err := mysql.New(s.DB(), &mysql.Config{FailedTable: name}); err == nil || !strings.Contains(err.Error(), "FailedTable") {
			t.Errorf("FailedTable %q returns %v, want an error that names it", name, err)
		}
	}
}

func TestCheckNamesAMissingPrivilegeAndChangesNothing(t *testing.T) {
	s := open(t)
	name := "parley_" + strings.ToLower(t.Name())[4:14]
	var database string
	if err := s.DB().QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	exec := func(q string) {
		t.Helper()
		if _, err := s.DB().ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	exec("DROP USER IF EXISTS " + name + "@'%'")
	exec("CREATE USER " + name + "@'%' IDENTIFIED BY 'x'")
	t.Cleanup(func() { _, _ = s.DB().ExecContext(context.WithoutCancel(t.Context()), "DROP USER "+name+"@'%'") })
	exec("GRANT SELECT, INSERT, UPDATE, DELETE ON " + database + ".parley_failed TO " + name + "@'%'")
	exec("GRANT SELECT, INSERT, UPDATE ON " + database + ".parley_failed_body TO " + name + "@'%'")
	dsn := strings.Replace(testenvDSN(t, s), "root@", name+":x@", 1)
	poor, err := mysql.Open(dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer poor.Close()
	err = poor.Failures().Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "DELETE") || !strings.Contains(err.Error(), "parley_failed_body") {
		t.Errorf("Check without DELETE on the bodies returns %v, want an error that names both", err)
	}
	exec("GRANT DELETE ON " + database + ".parley_failed_body TO " + name + "@'%'")
	if err := poor.Failures().Check(t.Context()); err != nil {
		t.Errorf("Check with all privileges: %v", err)
	}
	if list, err := poor.Failures().List(t.Context(), parley.FailureQuery{}, 0, 1); len(list) != 0 || err != nil {
		t.Errorf("Check has left %d rows (%v)", len(list), err)
	}
}

// testenvDSN is the DSN of a store's database.
func testenvDSN(t *testing.T, s *mysql.Store) string {
	t.Helper()
	var database string
	if err := s.DB().QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	other := testenv.MariaDB(t)
	i := strings.LastIndex(other, "/")
	return other[:i+1] + database
}

func TestWarningsNameSettingsThatLoseOrRefuseFailures(t *testing.T) {
	s := open(t)
	var flush, packet int64
	row := s.DB().QueryRowContext(t.Context(), "SELECT @@innodb_flush_log_at_trx_commit, @@max_allowed_packet")
	if err := row.Scan(&flush, &packet); err != nil {
		t.Fatal(err)
	}
	got, err := s.Failures().Warnings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(got, "\n")
	if strings.Contains(text, "innodb_flush_log_at_trx_commit") != (flush != 1) || strings.Contains(text, "max_allowed_packet") != (packet < 16<<20) {
		t.Errorf("with innodb_flush_log_at_trx_commit=%d and max_allowed_packet=%d the warnings are %q", flush, packet, got)
	}
}

// A relay's session may refuse changes without a key; due times are those of the database's clock.
func TestARelayWorksWithSafeUpdates(t *testing.T) {
	for _, n := range []int{1, 3, 1500} {
		s := openDSN(t, testenv.MariaDB(t)+"?sql_safe_updates=1")
		records := make([]parley.Record, n)
		for i := range records {
			records[i] = plain()
			records[i].DueAt, records[i].Tags = time.Now().Add(-time.Minute), map[string]string{"n": "1"}
		}
		ids := insert(t, s, records...)
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 2 * n})
		if err != nil {
			t.Fatal(err)
		}
		if elsewhere, err := b.Settle(t.Context(), ids, nil); elsewhere != 0 || err != nil {
			t.Errorf("settling %d records returns %d and %v, want 0", n, elsewhere, err)
		}
		var left int
		err = s.DB().QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM parley_outbox) + (SELECT COUNT(*) FROM parley_outbox_tags)").Scan(&left)
		if err != nil || left != 0 {
			t.Errorf("%d records and tags are left of %d (%v)", left, n, err)
		}
		err = s.InTx(t.Context(), func(tx *sql.Tx) error {
			if err := s.Insert(t.Context(), tx, records); err != nil {
				return err
			}
			got, err := s.Cancel(t.Context(), tx, parley.Selection{Exchange: "orders", Tags: map[string]string{"n": "1"}})
			if err == nil && got != n {
				t.Errorf("cancelled %d records, want %d", got, n)
			}
			return err
		})
		if err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
}

// A failed delivery has only a digest of an identity longer than 1,000 bytes.
func TestALongIdentityIsNotSweptWhileAFailureHasIt(t *testing.T) {
	s := open(t)
	long := "id:" + strings.Repeat("ü", 600)
	for _, id := range []string{long, long + "x"} {
		if err := s.Once(t.Context(), "billing", id, func(context.Context, mysql.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	f := failed([]byte("{}"))
	sum := sha256.Sum256([]byte(long))
	f.Identity = "sha256:" + hex.EncodeToString(sum[:])
	keep(t, s, "billing", f)
	wait(t, time.Millisecond)
	if n, err := s.SweepInbox(t.Context(), time.Microsecond, 10); n != 1 || err != nil {
		t.Errorf("swept %d (%v), want only the identity without a failure", n, err)
	}
}
