package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

// ordered matches statements that read a table in the order of its key up to a limit, without a condition that could skip rows.
var ordered = regexp.MustCompile(`FROM parley_(parked|log|failed AS f)( WHERE (f\.)?id > [0-9?]+)? ORDER BY (f\.)?id( DESC)? LIMIT|FROM parley_parked LIMIT`)

// scanOfAll matches a step that reads a whole table or a whole index.
var scanOfAll = regexp.MustCompile(`^SCAN (o|f|a|b|t\d|parley_(outbox|parked|failed|log)\w*)\b`)

func TestTheQueriesOfAConsoleAreIndexOnlyOrCapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	base := openAt(t, path, nil)
	fill := sqlstoretest.Filler[sqlite.Tx]{DB: base.DB(), Kind: "sqlite", Outbox: base, Relay: base, Failures: base.Failures(), Log: base, InTx: inTxOf(base)}
	fill.Fill(t, sqlstoretest.ConsoleRows())
	db, recording := sqlstoretest.Record(base.DB(), "file:"+path+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	t.Cleanup(func() { _ = db.Close() })
	s, err := sqlite.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	statements := 0
	for _, q := range sqlstoretest.ConsoleQueries(s, s.Failures(), inTxOf(s)) {
		recording.Take()
		if err := q.Run(t.Context()); err != nil {
			t.Fatalf("%s: %v", q.Name, err)
		}
		for _, st := range recording.Take() {
			if !strings.HasPrefix(st.Query, "SELECT") && !strings.HasPrefix(st.Query, "WITH") {
				continue
			}
			statements++
			for _, step := range plan(t, base, st) {
				if scanOfAll.MatchString(step) && !ordered.MatchString(st.Query) || strings.Contains(step, "TEMP B-TREE") && !strings.Contains(st.Query, "parley_outbox_tags") {
					t.Errorf("%s: %.600s\nreads a whole table or sorts: %s", q.Name, st.Query, step)
				}
			}
		}
	}
	if statements < 20 {
		t.Errorf("only %d statements were seen", statements)
	}
}

func inTxOf(s *sqlite.Store) sqlstoretest.InTx[sqlite.Tx] {
	return func(ctx context.Context, fn func(tx sqlite.Tx) error) error {
		return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
	}
}
