package sqlite_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley/sqlite"
)

// logged returns what New logs about a database with these parameters.
func logged(t *testing.T, parameters string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(filepath.Join(t.TempDir(), "app.db"))+parameters)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var out bytes.Buffer
	if _, err := sqlite.New(db, &sqlite.Config{Logger: slog.New(slog.NewTextHandler(&out, nil))}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestNewWarnsOfSettingsWithWhichTransactionsFailBesideARelay(t *testing.T) {
	const lock, wal, busy = "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=busy_timeout(5000)"
	for _, c := range []struct {
		parameters string
		missing    []string
	}{
		{"", []string{lock, wal, busy}},
		{"?" + wal + "&" + busy, []string{lock}},
		{"?_txlock=deferred&" + wal + "&" + busy, []string{lock}},
		{"?" + lock + "&" + busy, []string{wal}},
		{"?" + lock + "&" + wal, []string{busy}},
		{"?" + lock + "&" + wal + "&" + busy, nil},
		{"?_txlock=exclusive&" + wal + "&" + busy, nil},
	} {
		got := logged(t, c.parameters)
		want := ""
		if c.missing != nil {
			want = `missing="` + strings.Join(c.missing, "&") + `"`
		}
		switch {
		case want == "" && got != "":
			t.Errorf("%q: logged %s", c.parameters, got)
		case !strings.Contains(got, want) || want != "" && !strings.Contains(got, "level=WARN"):
			t.Errorf("%q: logged %q, want a warning with %s", c.parameters, got, want)
		}
	}
}

func TestOpenHasTheSettingsThatNewAsksFor(t *testing.T) {
	var out bytes.Buffer
	store := open(t, &sqlite.Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if _, err := sqlite.New(store.DB(), &sqlite.Config{Logger: slog.New(slog.NewTextHandler(&out, nil))}); err != nil {
		t.Fatal(err)
	}
	if out.Len() != 0 {
		t.Errorf("logged %s", &out)
	}
}

func TestNewSaysNothingAboutSettingsThatAWriterKeepsItFromReading(t *testing.T) {
	store := open(t, nil)
	tx, err := store.DB().BeginTx(t.Context(), nil) // has the write lock
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	db, err := sql.Open("sqlite", "file:"+fileName(t, store)+"?_txlock=immediate&_pragma=busy_timeout(1)&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out bytes.Buffer
	if _, err := sqlite.New(db, &sqlite.Config{Logger: slog.New(slog.NewTextHandler(&out, nil))}); err != nil || out.Len() != 0 {
		t.Errorf("beside a writer: %v, logged %q, want nothing: it cannot be determined", err, &out)
	}
}

// fileName returns the name of a store's file.
func fileName(t *testing.T, s *sqlite.Store) (name string) {
	t.Helper()
	if err := s.DB().QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}
