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

// It is not only about speed: a statement that looks at rows which it does not mean waits
// for whoever holds them. So it must hold for a small table too.
func TestPollAndCancelUseIndexes(t *testing.T) {
	for _, n := range []int{100, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := open(t)
			fill(t, s, n)
			if _, err := s.DB().ExecContext(t.Context(), "ANALYZE TABLE parley_outbox, parley_outbox_tags"); err != nil {
				t.Fatal(err)
			}
			tx, err := s.DB().BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
			if err != nil {
				t.Fatal(err)
			}
			rec := &sqlstoretest.Recorder{Tx: tx}
			runAll(t, s, rec)
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			for _, st := range rec.Statements {
				if !strings.HasPrefix(st.Query, "INSERT") {
					checkPlan(t, s, st)
				}
			}
		})
	}
}

// runAll runs what must stay cheap, however many records are scheduled.
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

// checkPlan reads EXPLAIN: no table that grows may be read as a whole, and nothing sorted.
func checkPlan(t *testing.T, s *mysql.Store, st sqlstoretest.Statement) {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), "EXPLAIN "+st.Query, st.Args...)
	if err != nil {
		t.Fatalf("%s: %v", st.Query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, table, kind, possible, key, length, ref, count, extra sql.NullString
		var selectType string
		if err := rows.Scan(&id, &selectType, &table, &kind, &possible, &key, &length, &ref, &count, &extra); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(extra.String, "json_table") || !table.Valid {
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
