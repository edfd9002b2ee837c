package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

func TestCheckNamesADatabaseThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	openAt(t, path, nil)
	for _, settings := range []string{"mode=ro", "_pragma=query_only(1)"} {
		db, err := sql.Open("sqlite", "file:"+path+"?"+settings)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s, err := sqlite.New(db, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Failures().Check(t.Context()); err == nil {
			t.Errorf("with %s Check returns no error", settings)
		}
	}
}

// A row must be as durable as the ack: without FULL a commit may be lost when the machine loses power.
func TestKeepCommitsWithFullSynchronousWhateverTheConnectionHas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	base := openAt(t, path, nil)
	db, recording := sqlstoretest.Record(base.DB(), "file:"+path+"?_pragma=busy_timeout(7000)&_pragma=synchronous(1)")
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	s, err := sqlite.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, s, "billing", failed([]byte("{}")))
	statements := recording.Take()
	full := slices.IndexFunc(statements, func(st sqlstoretest.Statement) bool { return strings.Contains(st.Query, "PRAGMA synchronous=2") })
	written := slices.IndexFunc(statements, func(st sqlstoretest.Statement) bool { return strings.HasPrefix(st.Query, "INSERT INTO parley_failed ") })
	if full < 0 || written < full {
		t.Errorf("synchronous is set to FULL by statement %d, the row is written by %d", full, written)
	}
	var synchronous, busy int
	if err := db.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&synchronous); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&busy); err != nil {
		t.Fatal(err)
	}
	if synchronous != 1 || busy != 7000 {
		t.Errorf("after Keep synchronous is %d and busy_timeout %d, want 1 and 7000 as before", synchronous, busy)
	}
	if got, err := s.Failures().Warnings(t.Context()); len(got) != 0 || err != nil {
		t.Errorf("warnings: %q (%v), want none", got, err)
	}
}

func TestKeepWaitsForTheWriteLockForASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s, other := openAt(t, path, &sqlite.Config{BusyTimeout: time.Minute}), openAt(t, path, nil)
	for what, writer := range map[string]*sqlite.Store{"of this store": s, "of another process": other} {
		err := writer.InTx(t.Context(), func(*sql.Tx) error {
			began := time.Now()
			_, err := s.Failures().Keep(t.Context(), "billing", []parley.Failure{failed([]byte("{}"))})
			if err == nil || errors.Is(err, parley.ErrRefused) {
				t.Errorf("during a transaction %s Keep returns %v, want a lock error", what, err)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("during a transaction %s Keep waited for %v, want about a second", what, took)
			}
			return s.Failures().Check(t.Context())
		})
		if err != nil {
			t.Errorf("Check during a transaction %s: %v", what, err)
		}
	}
	keep(t, s, "billing", failed([]byte("{}")))
}

// A failed delivery has only a digest of an identity longer than 1,000 bytes, and SQLite cannot compute digests.
func TestLongIdentitiesAreNotSweptWhileAFailureHasOne(t *testing.T) {
	s := open(t, nil)
	for _, id := range []string{"id:" + strings.Repeat("x", 1000), "id:7"} {
		if err := s.Once(t.Context(), "billing", id, func(context.Context, sqlite.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	f := failed([]byte("{}"))
	f.Identity = "sha256:" + strings.Repeat("0", 64)
	id := keep(t, s, "billing", f)[0].ID
	if n := sweepOld(t, s); n != 1 {
		t.Errorf("swept %d, want only the short identity", n)
	}
	if _, _, err := s.Failures().Drop(t.Context(), parley.FailureQuery{IDs: []int64{id}}); err != nil {
		t.Fatal(err)
	}
	if n := sweepOld(t, s); n != 1 {
		t.Errorf("swept %d after the failure was dropped, want the long identity", n)
	}
}
