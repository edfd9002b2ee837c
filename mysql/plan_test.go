package mysql_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/mysql"
)

// fill schedules n records that are due in an hour, all of one kind, each with its own number.
func fill(t testing.TB, s *mysql.Store, n int) {
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

func insert(t testing.TB, s *mysql.Store, records ...parley.Record) []int64 {
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

// runAll runs the statements whose cost must not depend on the number of scheduled records.
func runAll(t *testing.T, s *mysql.Store, tx mysql.Tx) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	one := parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"n": "77", "kind": "photo"}}
	_, err := mysql.ReadDue(ctx, s, tx, parley.ClaimOptions{Limit: 100, Except: []string{"full"}})
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
	_, err = mysql.Finish(ctx, s, tx, []int64{1, 2, 3})
	must(err)
}

// checkPlan reads EXPLAIN: no growing table may be read as a whole, and no rows may be sorted.
func checkPlan(t *testing.T, s *mysql.Store, st sqlstoretest.Statement) {
	t.Helper()
	// MySQL's default format may be a tree, and it has columns that MariaDB does not have.
	explain := "EXPLAIN "
	if isMySQL(t, s) {
		explain = "EXPLAIN FORMAT=TRADITIONAL "
	}
	query := explain + st.Query
	if setting, rest, ok := strings.Cut(st.Query, " FOR */ "); ok {
		query = setting + " FOR */ " + explain + rest
	}
	rows, err := s.DB().QueryContext(t.Context(), query, st.Args...)
	if err != nil {
		t.Fatalf("%s: %v", st.Query, err)
	}
	defer rows.Close()
	for rows.Next() {
		plan := readRow(t, rows)
		table, kind, extra := plan["table"], plan["type"], plan["Extra"]
		if list := strings.ToLower(extra.String); strings.Contains(list, "json_table") || strings.Contains(list, "table function") || !table.Valid {
			continue // the list of ids
		}
		if kind.String == "ALL" || kind.String == "index" || strings.Contains(extra.String, "filesort") {
			t.Errorf("%.400s\nreads all of %s, or sorts: %s, %s", st.Query, table.String, kind.String, extra.String)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// readRow reads the current row by the names of its columns.
func readRow(t *testing.T, rows *sql.Rows) map[string]sql.NullString {
	t.Helper()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, dst := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		dst[i] = &values[i]
	}
	if err := rows.Scan(dst...); err != nil {
		t.Fatal(err)
	}
	row := make(map[string]sql.NullString, len(names))
	for i, name := range names {
		row[name] = values[i]
	}
	return row
}

// isMySQL reports whether the server is MySQL, not MariaDB.
func isMySQL(t testing.TB, s *mysql.Store) bool {
	t.Helper()
	var version string
	if err := s.DB().QueryRowContext(t.Context(), "SELECT version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return !strings.Contains(version, "MariaDB")
}
