package mysql_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

// wait waits until the clock of the database has advanced.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
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
	if n, err := s.SweepInbox(t.Context(), "billing", time.Microsecond, 10); n != 1 || err != nil {
		t.Errorf("swept %d (%v), want only the identity without a failure", n, err)
	}
}
