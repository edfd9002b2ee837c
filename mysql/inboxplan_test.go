package mysql_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
)

// manyIdentities records n old identities of audit, n young ones of mail, and two of mail that are older.
func manyIdentities(t *testing.T, s *mysql.Store, n int) {
	t.Helper()
	exec := func(q string, args ...any) {
		t.Helper()
		if _, err := s.DB().ExecContext(t.Context(), q, args...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if isMySQL(t, s) {
		exec("SET cte_max_recursion_depth = 10000000")
	} else {
		exec("SET max_recursive_iterations = 10000000")
	}
	for consumer, days := range map[string]int{"audit": 90, "mail": 1} {
		exec("INSERT INTO parley_inbox (digest, consumer, identity, seen_at) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"+
			" SELECT UNHEX(SHA2(CONCAT(?, i), 256)), ?, CONCAT('young:', i), UTC_TIMESTAMP(6) - INTERVAL ? DAY FROM n", n, consumer, consumer, days)
	}
	for _, id := range []string{"id:1", "id:2"} {
		if err := s.Once(t.Context(), "mail", id, func(context.Context, mysql.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	exec("UPDATE parley_inbox SET seen_at = UTC_TIMESTAMP(6) - INTERVAL 8 DAY WHERE consumer = 'mail' AND identity LIKE 'id:%'")
	exec("ANALYZE TABLE parley_inbox")
}

func TestASweepOfTheInboxReadsNoRowsOfOtherConsumers(t *testing.T) {
	s := open(t)
	s.DB().SetMaxOpenConns(1) // one session, whose reads are counted
	s.DB().SetConnMaxLifetime(0)
	manyIdentities(t, s, 20_000)
	before := rowsRead(t, s)
	n, err := s.SweepInbox(t.Context(), "mail", 7*24*time.Hour, 100)
	if err != nil || n != 2 {
		t.Errorf("swept %d (%v), want 2", n, err)
	}
	if n := rowsRead(t, s) - before; n > 100+statusRows {
		t.Errorf("a sweep of two identities has read %d rows", n)
	}
}

// MySQL commits each statement of a migration separately, so a migration may stop between any two of them.
func TestTheMigrationOfTheIndexOfTheInboxMayStopHalfway(t *testing.T) {
	for name, done := range map[string][]string{
		"after the first statement":      {"CREATE INDEX parley_inbox_consumer ON parley_inbox (consumer(255), seen_at)"},
		"before its version is recorded": {"CREATE INDEX parley_inbox_consumer ON parley_inbox (consumer(255), seen_at)", "DROP INDEX parley_inbox_seen ON parley_inbox"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openOld(t, nil)
			for _, q := range done {
				if _, err := s.DB().ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			var indexes string
			err := s.DB().QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(DISTINCT index_name ORDER BY index_name) FROM information_schema.statistics"+
				" WHERE table_schema = DATABASE() AND table_name = 'parley_inbox'").Scan(&indexes)
			if err != nil || indexes != "parley_inbox_consumer,PRIMARY" {
				t.Errorf("the indexes are %q (%v), want parley_inbox_consumer and PRIMARY", indexes, err)
			}
		})
	}
}

func TestASweepBeforeTheMigrationSaysWhatToRun(t *testing.T) {
	_, err := openOld(t, nil).SweepInbox(t.Context(), "billing", time.Hour, 10)
	if !errors.Is(err, parley.ErrNoTables) || !strings.Contains(err.Error(), `run "parley migrate up"`) {
		t.Errorf("a sweep without the index returns %v, want an error that says what to run", err)
	}
}
