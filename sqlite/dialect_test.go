package sqlite_test

import (
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

func TestPollAndCancelUseIndexes(t *testing.T) {
	s := open(t, nil)
	fill(t, s, 2000)
	if _, err := s.DB().ExecContext(t.Context(), "ANALYZE"); err != nil { // so that the planner knows how common tags are
		t.Fatal(err)
	}
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := &sqlstoretest.Recorder{Tx: tx}
	runAll(t, s, rec)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	q, args := sqlite.AnyDueQuery([]string{"full"})
	rec.Statements = append(rec.Statements, sqlstoretest.Statement{Query: q, Args: args})
	for _, st := range rec.Statements {
		for _, step := range plan(t, s, st) {
			if scan.MatchString(step) || strings.Contains(step, "TEMP B-TREE FOR ORDER BY") {
				t.Errorf("%.300s\nreads a whole table or sorts: %s", st.Query, step)
			}
		}
	}
}
