package mysql_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

func TestOpenNamesAllMistakes(t *testing.T) {
	for dsn, wants := range map[string][]string{
		"root@tcp(db:3306)/?charset=latin1": {"names no database", "charset"},
		"root@tcp(db:3306":                  {"DSN"},
	} {
		_, err := mysql.Open(dsn, nil)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%q) returns %v, want an error with %q", dsn, err, want)
			}
		}
	}
	if _, err := mysql.Open("root@tcp(db:3306)/x", &mysql.Config{WatchInterval: -1}); err == nil {
		t.Error("a negative interval is accepted")
	}
}

func TestNewRefusesAConnectionThatCannotHoldEveryMessage(t *testing.T) {
	dsn := testenv.MariaDB(t)
	openDSN(t, dsn)
	db, err := sql.Open("mysql", dsn+"?charset=latin1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := mysql.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.InTx(t.Context(), func(tx *sql.Tx) error { return s.Insert(t.Context(), tx, []parley.Record{plain()}) })
	if err == nil || !strings.Contains(err.Error(), "charset=utf8mb4") {
		t.Errorf("an insertion over latin1 returns %v, want an error with a hint", err)
	}
}
