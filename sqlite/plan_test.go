package sqlite_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

// fill schedules n records that are due in an hour, all of one kind, each with its own number.
func fill(t testing.TB, s *sqlite.Store, n int) {
	t.Helper()
	records := make([]parley.Record, n)
	for i := range records {
		records[i] = parley.Record{
			Message: parley.Message{Exchange: "mail", RoutingKey: "remind", Kind: parley.KindEvent, Body: []byte(`{"payload": {}}`)},
			DueAt:   time.Now().Add(time.Hour), Tags: map[string]string{"n": fmt.Sprint(i), "kind": "photo"},
		}
	}
	insert(t, s, records...)
}

func insert(t testing.TB, s *sqlite.Store, records ...parley.Record) []int64 {
	t.Helper()
	err := s.InTx(t.Context(), func(tx *sql.Tx) error { return s.Insert(t.Context(), tx, records) })
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int64, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	return ids
}

// scan matches a step that reads a growing table, or a whole index of it.
var scan = regexp.MustCompile(`^SCAN (o|t\d|parley_outbox\w*)\b`)

// runAll runs the operations whose cost must not depend on the number of scheduled records.
func runAll(t *testing.T, s *sqlite.Store, tx sqlite.Tx) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	one := parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"n": "77", "kind": "photo"}}
	_, err := sqlite.ReadDue(ctx, s, tx, parley.ClaimOptions{Limit: 100, Except: []string{"full"}})
	must(err)
	n, err := s.Reschedule(ctx, tx, one, time.Now().Add(2*time.Hour))
	must(err)
	if n != 1 {
		t.Errorf("moved %d records, want 1", n)
	}
	n, err = s.Cancel(ctx, tx, one)
	must(err)
	if n != 1 {
		t.Errorf("cancelled %d records, want 1", n)
	}
	unless := parley.Record{
		Message: parley.Message{Exchange: "mail", RoutingKey: "remind", Kind: parley.KindEvent, Body: []byte(`{}`)},
		DueAt:   time.Now().Add(time.Hour), Tags: one.Tags, UnlessTags: one.Tags,
	}
	must(s.Insert(ctx, tx, []parley.Record{unless}))
	_, err = s.Scheduled(ctx, tx, parley.Selection{}, 10)
	must(err)
	_, err = sqlite.Finish(ctx, s, tx, []int64{1, 2, 3})
	must(err)
}

// plan returns the steps of EXPLAIN QUERY PLAN.
func plan(t *testing.T, s *sqlite.Store, st sqlstoretest.Statement) (steps []string) {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+st.Query, st.Args...)
	if err != nil {
		t.Fatalf("%s: %v", st.Query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
