package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/postgres"
)

// The planner has no statistics: autovacuum may be late.
func TestASweepOfTheInboxReadsNoRowsOfOtherConsumers(t *testing.T) {
	pool, store := openPgx(t)
	for _, q := range []string{
		"ALTER TABLE parley_inbox SET (autovacuum_enabled = off)",
		"INSERT INTO parley_inbox SELECT 'audit', 'id:' || i, now() - interval '90 days' FROM generate_series(1, 20000) i",
		"INSERT INTO parley_inbox SELECT 'mail', 'young:' || i, now() FROM generate_series(1, 20000) i",
		"INSERT INTO parley_inbox SELECT 'mail', 'id:' || i, now() - interval '8 days' FROM generate_series(1, 2) i",
	} {
		if _, err := pool.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	explained, log := explaining(t, pool)
	log.tables, log.pages = []string{"parley_inbox"}, 40
	s, err := postgres.New(explained, nil)
	if err != nil {
		t.Fatal(err)
	}
	sweep := func(what string, want int) {
		t.Helper()
		if n, err := s.SweepInbox(t.Context(), "mail", 7*24*time.Hour, 100); n != want || err != nil {
			t.Errorf("%s: swept %d (%v), want %d", what, n, err, want)
		}
	}
	sweep("with a table of failed deliveries", 2)
	if _, err := pool.Exec(t.Context(), "DROP TABLE parley_failed; INSERT INTO parley_inbox VALUES ('mail', 'id:3', now() - interval '8 days')"); err != nil {
		t.Fatal(err)
	}
	sweep("without it", 1)
	if len(log.problems) > 0 || log.statements < 2 {
		t.Errorf("%d statements were seen: %s", log.statements, strings.Join(log.problems, "\n"))
	}
	if n := sweepInbox(t, store, 100_000); n != 20_000 {
		t.Errorf("swept %d identities of audit, want 20,000", n)
	}
}
