package sqlite_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

// failed returns a waiting failure.
func failed(body []byte) parley.Failure {
	return parley.Failure{
		Message: parley.Message{Exchange: "orders", RoutingKey: "paid", Kind: parley.KindEvent, Body: body}, State: parley.FailureWaiting,
	}
}

func keep(t testing.TB, s *sqlite.Store, consumer string, list ...parley.Failure) []parley.KeptFailure {
	t.Helper()
	kept, err := s.Failures().Keep(t.Context(), consumer, list)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// fillFailures inserts n rows of each kind: waiting for later, parked, and behind a held key.
func fillFailures(t testing.TB, s *sqlite.Store, n int) {
	t.Helper()
	waiting, parked, behind := failed([]byte("{}")), failed([]byte("{}")), failed([]byte("{}"))
	waiting.After = time.Hour
	parked.State, parked.Fingerprint, parked.Identity = parley.FailureParked, "00000000000000000000000000000000", "id:7"
	behind.Key = "held"
	holds := behind
	holds.State, holds.Holds = parley.FailureParked, true
	kept := keep(t, s, "billing", waiting, parked, holds, behind)
	columns := "consumer, ordering_key, state, holds, due_at, created_at, parked_at, fingerprint, exchange, routing_key, identity, size"
	for _, k := range []parley.KeptFailure{kept[0], kept[1], kept[3]} {
		for _, q := range []string{
			"INSERT INTO parley_failed (" + columns + ") WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)" +
				" SELECT " + columns + " FROM parley_failed, n WHERE id = ?",
			"INSERT INTO parley_failed_body SELECT f.id, b.envelope, b.body FROM parley_failed AS f, parley_failed_body AS b" +
				" WHERE f.id NOT IN (SELECT id FROM parley_failed_body) AND ? > 0 AND b.id = ?",
		} {
			if _, err := s.DB().ExecContext(t.Context(), q, n, k.ID); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	if _, err := s.DB().ExecContext(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

// scanOfFailures matches a step that reads the whole table or index.
var scanOfFailures = regexp.MustCompile(`^SCAN (f|a|b|parley_failed\w*)\b`)

func TestFailuresUseIndexes(t *testing.T) {
	n := 5000
	if os.Getenv("PARLEY_FAULTS") == "all" {
		n = 333_000
	}
	path := filepath.Join(t.TempDir(), "test.db")
	base := openAt(t, path, nil)
	fillFailures(t, base, n)
	db, recording := sqlstoretest.Record(base.DB(), "file:"+path+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	t.Cleanup(func() { _ = db.Close() })
	s, err := sqlite.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	runFailures(t, s)
	seen := map[string]bool{}
	for _, st := range recording.Take() {
		if seen[st.Query] || strings.HasPrefix(st.Query, "PRAGMA") || strings.HasPrefix(st.Query, "EXPLAIN") || !strings.Contains(st.Query, "parley_failed") {
			continue
		}
		seen[st.Query] = true
		for _, step := range plan(t, base, st) {
			// A list without conditions reads all rows, in the order of their ids, up to a limit.
			inOrder := strings.HasPrefix(st.Query, "SELECT f.id FROM parley_failed AS f WHERE f.id >")
			if scanOfFailures.MatchString(step) && !inOrder || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%.600s\nreads a whole table or sorts: %s", st.Query, step)
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d statements were seen", len(seen))
	}
}

// runFailures runs each operation once.
func runFailures(t *testing.T, s *sqlite.Store) {
	t.Helper()
	f, ctx := s.Failures(), t.Context()
	for _, consumer := range []string{"", "billing"} {
		if groups, err := f.FailureGroups(ctx, consumer, 100); err != nil || len(groups) == 0 {
			t.Fatalf("groups of %q: %+v, %v", consumer, groups, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	due := failed([]byte("{}"))
	due.Key, due.RepeatOf, due.Identity = "user-7", []byte(strings.Repeat("r", 32)), "id:8"
	keep(t, s, "billing", due, due)
	due.RepeatOf = nil
	keep(t, s, "billing", due, due)
	claimed, err := f.Claim(ctx, "billing", parley.FailureClaimOptions{Limit: 10, KeyRun: 2, Lease: time.Minute})
	must(err)
	if len(claimed) != 2 {
		t.Fatalf("claimed %d rows, want a run of 2", len(claimed))
	}
	_, err = f.Renew(ctx, []parley.FailureClaim{claimed[0].FailureClaim, claimed[1].FailureClaim}, time.Minute)
	must(err)
	must(f.Settle(ctx, claimed[1].FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease}))
	must(f.Settle(ctx, claimed[0].FailureClaim, parley.FailureOutcome{Action: parley.FailurePark}))
	_, _, err = f.NextDue(ctx, "billing")
	must(err)
	_, err = f.KeysWithRows(ctx, "billing", []string{"held", "none"})
	must(err)
	_, err = f.Stats(ctx, "")
	must(err)
	for _, q := range []parley.FailureQuery{
		{}, {Consumer: "billing"}, {States: []parley.FailureState{parley.FailureParked}}, {Fingerprint: "00000000000000000000000000000000"},
		{IDs: []int64{claimed[0].ID}},
	} {
		_, err = f.List(ctx, q, 0, 50)
		must(err)
	}
	_, err = f.Get(ctx, claimed[0].ID)
	must(err)
	must(f.Edit(ctx, claimed[0].ID, []byte("[]")))
	_, err = f.Replay(ctx, parley.FailureQuery{IDs: []int64{claimed[0].ID}}, time.Second)
	must(err)
	_, err = f.Sweep(ctx, "billing", time.Hour, 10)
	must(err)
	_, _, err = f.Drop(ctx, parley.FailureQuery{IDs: []int64{claimed[0].ID}})
	must(err)
	_, err = f.Move(ctx, "absent", "other")
	must(err)
	_, err = s.SweepInbox(ctx, "billing", time.Hour, 10)
	must(err)
	must(f.Check(ctx))
}
