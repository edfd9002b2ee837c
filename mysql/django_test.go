package mysql_test

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

func TestDjangoTable(t *testing.T) {
	sqlstoretest.Django[mysql.Tx]{Open: openDjango, Vectors: "../postgres/testdata"}.Test(t)
}

func openDjango(t *testing.T, version string) (sqlstoretest.DjangoStore[mysql.Tx], *sql.DB, sqlstoretest.InTx[mysql.Tx]) {
	t.Helper()
	db, err := sql.Open("mysql", testenv.MariaDB(t)+"?time_zone=%27-05:00%27&parseTime=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ddl, err := os.ReadFile("testdata/django-" + version + ".sql")
	if err == nil {
		_, err = db.ExecContext(t.Context(), string(ddl))
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := mysql.NewDjango(db, &mysql.DjangoConfig{AppID: "vec-service"})
	if err != nil {
		t.Fatal(err)
	}
	return s, db, func(ctx context.Context, fn func(tx mysql.Tx) error) error {
		return sqlstore.Retry(ctx, deadlock, func() error {
			return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		})
	}
}

func TestDjangoCancelsByTagsBeyondASCIIWhatGoStoredAndTheReverse(t *testing.T) {
	store, db, inTx := openDjango(t, "2.6")
	out, err := parley.NewOutbox[mysql.Tx](store, nil)
	if err != nil {
		t.Fatal(err)
	}
	remind := parley.NewEvent[map[string]int]("user", "remind")
	tags := parley.Tags{"name": "é<&😀", "ключ": "a"}
	// What Django 4.2 sends for tags__contains={"name": …, "ключ": "a"}.
	const query = `{"name": "\u00e9<&\ud83d\ude00", "\u043a\u043b\u044e\u0447": "a"}`
	err = inTx(t.Context(), func(tx mysql.Tx) error {
		_, err := parley.Publish(t.Context(), out.In(tx), remind, nil, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(tags))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+sqlstore.DjangoTable+" WHERE exchange = 'user' AND routing_key = 'remind' AND JSON_CONTAINS(tags, ?)", query).Scan(&found)
	if err != nil || found != 1 {
		t.Errorf("Django finds %d rows of Go (%v), want 1", found, err)
	}
	for _, stored := range []string{query, `{"name": "é<&😀", "ключ": "a", "other": "b"}`} {
		_, err := db.ExecContext(t.Context(), "INSERT INTO "+sqlstore.DjangoTable+" (create_time, is_new_style, exchange, routing_key, body, tags, send_after_time) VALUES (UTC_TIMESTAMP(), 1, 'user', 'remind', '{}', ?, '2099-01-01')", stored)
		if err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err = inTx(t.Context(), func(tx mysql.Tx) (err error) {
		n, err = parley.Cancel(t.Context(), out.In(tx), remind, tags)
		return err
	})
	if err != nil || n != 3 {
		t.Errorf("Go cancelled %d rows (%v), want its own, one with escapes and one without", n, err)
	}
}
