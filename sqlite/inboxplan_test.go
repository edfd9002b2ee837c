package sqlite_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

func TestASweepOfTheInboxReadsNoRowsOfOtherConsumers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	base := openAt(t, path, nil)
	db, recording := sqlstoretest.Record(base.DB(), "file:"+path+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	t.Cleanup(func() { _ = db.Close() })
	s, err := sqlite.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SweepInbox(t.Context(), "mail", time.Hour, 10); err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, st := range recording.Take() {
		if !strings.Contains(st.Query, "parley_inbox AS i") {
			continue
		}
		seen = true
		steps := plan(t, base, st)
		if text := strings.Join(steps, "; "); !strings.HasPrefix(text, "SEARCH i USING COVERING INDEX parley_inbox_consumer (consumer=? AND seen_at<?)") || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("%s\nhas the plan %s", st.Query, text)
		}
	}
	if !seen {
		t.Error("the sweep has not read the inbox")
	}
}

func TestASweepBeforeTheMigrationSaysWhatToRun(t *testing.T) {
	_, err := openOld(t, nil).SweepInbox(t.Context(), "billing", time.Hour, 10)
	if !errors.Is(err, parley.ErrNoTables) || !strings.Contains(err.Error(), `run "parley migrate up"`) {
		t.Errorf("a sweep without the index returns %v, want an error that says what to run", err)
	}
}
