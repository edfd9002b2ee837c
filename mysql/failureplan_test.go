package mysql_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
)

// manyFailures is how many rows of each kind a large table has.
func manyFailures() int {
	if os.Getenv("PARLEY_FAULTS") == "all" {
		return 250_000
	}
	return 12_500
}

// fillFailures inserts n rows of each kind: waiting for later, parked, behind a held key, and parked with one key
// without holding it. It inserts them from rows of a sequence, because a million insertions take too long.
func fillFailures(t testing.TB, s *mysql.Store, n int) {
	t.Helper()
	seeds := make([]parley.Failure, 4)
	for i := range seeds {
		seeds[i] = failed([]byte("{}"))
		seeds[i].Fingerprint = "00000000000000000000000000000000"
	}
	seeds[0].After = time.Hour
	seeds[1].State = parley.FailureParked
	seeds[2].State, seeds[2].Key, seeds[2].Holds = parley.FailureParked, "held", true
	seeds[3].State, seeds[3].Key = parley.FailureParked, "broken"
	kept := keep(t, s, "billing", seeds...)
	behind := failed([]byte("{}"))
	behind.Key = "held"
	ids := []int64{kept[0].ID, kept[1].ID, keep(t, s, "billing", behind)[0].ID, kept[3].ID}
	columns := "consumer, key_digest, ordering_key, state, holds, due_at, created_at, parked_at, first_error, last_error, reason, fingerprint, exchange, routing_key, identity, size"
	exec := func(q string, args ...any) {
		t.Helper()
		if _, err := s.DB().ExecContext(t.Context(), q, args...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	for _, id := range ids {
		if isMySQL(t, s) {
			exec("SET cte_max_recursion_depth = 10000000")
		} else {
			exec("SET max_recursive_iterations = 10000000")
		}
		exec("INSERT INTO parley_failed ("+columns+") WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"+
			" SELECT "+columns+" FROM parley_failed, n WHERE id = ?", n, id)
	}
	exec("INSERT IGNORE INTO parley_failed_body SELECT id, x'', x'' FROM parley_failed")
	exec("UPDATE parley_failed_body AS b JOIN (SELECT envelope FROM parley_failed_body WHERE id = ?) AS e SET b.envelope = e.envelope, b.body = '{}'", ids[0])
	exec("ANALYZE TABLE parley_failed, parley_failed_body")
}

// rowsRead returns how many rows the session has read since the last call.
func rowsRead(t testing.TB, s *mysql.Store) (sum int) {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// statusRows is more than the number of rows that reading the session's status takes.
const statusRows = 1000

func TestFailuresReadOnlyMatchingRows(t *testing.T) {
	s := open(t)
	s.DB().SetMaxOpenConns(1) // one session, whose reads are counted
	s.DB().SetConnMaxLifetime(0)
	fillFailures(t, s, manyFailures())
	f, ctx := s.Failures(), t.Context()
	due := failed([]byte("{}"))
	due.Key, due.Identity, due.RepeatOf = "user-7", "id:7", []byte(strings.Repeat("r", 32))
	options := parley.FailureClaimOptions{Limit: 10, KeyRun: 100, Lease: time.Minute}
	var claimed []parley.ClaimedFailure
	check := func(what string, limit int, do func() error) {
		t.Helper()
		before := rowsRead(t, s)
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := rowsRead(t, s) - before; n > limit+statusRows {
			t.Errorf("%s reads %d rows, want %d at most", what, n, limit)
		}
	}
	check("a claim of nothing", 10, func() error { _, err := f.Claim(ctx, "billing", options); return err })
	check("keeping a row", 50, func() error { _, err := f.Keep(ctx, "billing", []parley.Failure{due}); return err })
	check("keeping a repeat", 50, func() error { _, err := f.Keep(ctx, "billing", []parley.Failure{due}); return err })
	follower := due
	follower.Key, follower.RepeatOf = "held", nil
	check("keeping a row behind many others", 50, func() error { _, err := f.Keep(ctx, "billing", []parley.Failure{follower}); return err })
	follower.Key = "broken"
	check("keeping a row of a key with many parked ones", 50, func() error { _, err := f.Keep(ctx, "billing", []parley.Failure{follower}); return err })
	check("claiming", 100, func() (err error) { claimed, err = f.Claim(ctx, "billing", options); return err })
	if len(claimed) != 2 {
		t.Fatalf("claimed %d rows, want 2", len(claimed))
	}
	check("renewing", 50, func() error {
		_, err := f.Renew(ctx, []parley.FailureClaim{claimed[0].FailureClaim, claimed[1].FailureClaim}, time.Minute)
		return err
	})
	check("retrying", 50, func() error {
		return f.Settle(ctx, claimed[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: time.Hour})
	})
	check("settling", 50, func() error { return f.Settle(ctx, claimed[1].FailureClaim, parley.FailureOutcome{}) })
	check("NextDue", 10, func() error { _, _, err := f.NextDue(ctx, "billing"); return err })
	check("KeysWithRows", 50, func() error { _, err := f.KeysWithRows(ctx, "billing", []string{"held", "broken", "none"}); return err })
	check("promoting a held key", 50, func() error { return f.Promote(ctx, "billing", "held") })
	check("stats", 7*parley.FailureStatsCap, func() error { _, err := f.Stats(ctx, "billing"); return err })
	check("stats of all consumers", 7*parley.FailureStatsCap, func() error { _, err := f.Stats(ctx, ""); return err })
	check("deleting old rows", 100, func() error { _, err := f.Sweep(ctx, "absent", time.Hour, 10); return err })
	for _, consumer := range []string{"", "billing"} {
		check("groups", 2*parley.FailureStatsCap+1000, func() error { _, err := f.FailureGroups(ctx, consumer, 100); return err })
	}
	for what, q := range map[string]parley.FailureQuery{
		"all rows": {}, "those of a consumer": {Consumer: "billing"}, "the parked ones": {States: []parley.FailureState{parley.FailureParked}},
		"a fingerprint": {Fingerprint: due.Fingerprint, Consumer: "billing"}, "the running ones": {Consumer: "billing", States: []parley.FailureState{parley.FailureRunning}},
		"one by its id": {IDs: []int64{claimed[0].ID}}, "an absent consumer": {Consumer: "absent"},
	} {
		check("listing "+what, 1000, func() error { _, err := f.List(ctx, q, 0, 50); return err })
	}
}
