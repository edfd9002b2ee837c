package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/sqlite"
)

func TestOpenRefusesWhatCannotBeShared(t *testing.T) {
	for path, want := range map[string]string{
		":memory:":          "use a file",
		"":                  "must not be empty",
		"file:x?cache=none": "plain file name",
	} {
		if _, err := sqlite.Open(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) returns %v, want an error with %q", path, err, want)
		}
	}
}

func TestNewRefusesADatabaseInMemory(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := sqlite.New(db, nil); err == nil || !strings.Contains(err.Error(), "use a file") {
		t.Errorf("New on a database in memory returns %v, want an error with a hint", err)
	}
	if _, err := sqlite.New(nil, nil); err == nil {
		t.Errorf("New(nil) succeeds")
	}
}

func TestConfigReportsAllMistakes(t *testing.T) {
	_, err := sqlite.Open(filepath.Join(t.TempDir(), "x.db"), &sqlite.Config{BusyTimeout: -1, WatchInterval: -1, Lease: -1})
	for _, field := range []string{"BusyTimeout", "WatchInterval", "Lease"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("the error %v does not name %s", err, field)
		}
	}
}

func TestOpenTakesAnyFileName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20é.db")
	openAt(t, path, nil)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is not at the path: %v", err)
	}
}

// A user's own *sql.DB may have neither WAL, nor timeouts, nor immediate transactions.
func TestStoreOnOneConnectionOfAPlainDatabase(t *testing.T) {
	parleytest.TestStore(t, func(t *testing.T) parleytest.StoreUnderTest[sqlite.Tx] {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		db.SetMaxOpenConns(1)
		s, err := sqlite.New(db, nil)
		if err == nil {
			err = s.Migrate(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return underTest(s)
	})
}

func TestInTxRollsBackErrorsAndPanics(t *testing.T) {
	s := open(t, nil)
	failed := errors.New("failed")
	write := func(tx *sql.Tx) error {
		return s.Insert(t.Context(), tx, []parley.Record{{Message: parley.Message{Exchange: "x", Kind: parley.KindCommand, Body: []byte("{}")}}})
	}
	if err := s.InTx(t.Context(), func(tx *sql.Tx) error { return errors.Join(write(tx), failed) }); !errors.Is(err, failed) {
		t.Errorf("InTx returns %v, want the function's error", err)
	}
	func() {
		defer func() {
			if v := recover(); v != "panicked" {
				t.Errorf("the recovered panic is %v", v)
			}
		}()
		_ = s.InTx(t.Context(), func(tx *sql.Tx) error {
			if err := write(tx); err != nil {
				t.Error(err)
			}
			panic("panicked")
		})
	}()
	st, err := s.Stats(t.Context())
	if err != nil || st.Due != 0 {
		t.Errorf("after two rollbacks the outbox has %+v (%v)", st, err)
	}
	if err := s.InTx(t.Context(), write); err != nil {
		t.Errorf("the next transaction: %v", err)
	}
}

func TestIDsAreNotReusedAfterAReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	last := int64(0)
	for range 3 {
		s, err := sqlite.Open(path, nil)
		if err == nil {
			err = s.Migrate(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		ids := insert(t, s, parley.Record{Message: parley.Message{Exchange: "x", Kind: parley.KindCommand, Body: []byte("{}")}})
		if ids[0] <= last {
			t.Errorf("the id %d comes after %d", ids[0], last)
		}
		last = ids[0]
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1})
		if err == nil {
			_, err = b.Settle(t.Context(), ids, nil)
		}
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func ExampleStore_InTx() {
	dir, err := os.MkdirTemp("", "parley")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(filepath.Join(dir, "app.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	renamed := parley.NewEvent[map[string]string]("user", "renamed")
	err = store.InTx(ctx, func(tx *sql.Tx) error {
		// The change and its event are written together, or not at all.
		id, err := parley.Publish(ctx, outbox.In(tx), renamed, map[string]string{"name": "Ann"})
		fmt.Println("event", id)
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: event 1
}
