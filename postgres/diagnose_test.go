package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// lines returns one line for each finding.
func lines(found []parley.Finding) string {
	var out []string
	for _, f := range found {
		out = append(out, string(f.Level)+" "+f.Name+": "+f.Detail)
	}
	return strings.Join(out, "\n") + "\n"
}

func TestDiagnoseLooksAtServerNotificationsAndTable(t *testing.T) {
	pool, s := openPgx(t)
	check := func(words ...string) {
		t.Helper()
		text := lines(s.Diagnose(t.Context()))
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("the findings do not contain %q:\n%s", w, text)
			}
		}
	}
	check("fine database: version", "fine clock", "fine notifications: arrive\n", "fine outbox: this account has the required privileges")
	for statement, want := range map[string]string{
		"ALTER TABLE parley_outbox ALTER COLUMN id SET CACHE 50":         "warning outbox: its sequence hands out 50 ids",
		"ALTER TABLE parley_outbox DISABLE TRIGGER parley_outbox_notify": "warning notifications: arrive, but the outbox has no trigger",
	} {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		check(want)
	}
	if _, err := pool.Exec(t.Context(), "DROP TABLE parley_outbox"); err != nil {
		t.Fatal(err)
	}
	if text := lines(s.Diagnose(t.Context())); strings.Contains(text, "outbox") {
		t.Errorf("a missing table is reported by the check of the migrations, but the findings are\n%s", text)
	}
}

func TestDiagnoseOfADjangoStoreReportsARelayOfThePythonLibrary(t *testing.T) {
	pool, s := openDjango(t, "2.6")
	if text := lines(s.Diagnose(t.Context())); !strings.Contains(text, "fine other relays") {
		t.Errorf("found\n%s", text)
	}
	session, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	python := session.Hijack()
	defer python.Close(context.Background())
	if _, err := python.Exec(t.Context(), `LISTEN "public_eventqueued"`); err != nil {
		t.Fatal(err)
	}
	if text := lines(s.Diagnose(t.Context())); !strings.Contains(text, "problem other relays") {
		t.Errorf("found\n%s", text)
	}
}

func TestDiagnoseOverDatabaseSQLLooksAtServerAndTable(t *testing.T) {
	db, s := openSQL(t)
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("ALTER TABLE parley_outbox ALTER COLUMN id SET CACHE 50")
	text := lines(s.Diagnose(t.Context()))
	for _, want := range []string{"fine database: version", "fine clock", "warning outbox: its sequence hands out 50 ids"} {
		if !strings.Contains(text, want) {
			t.Errorf("the findings do not contain %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "notifications") {
		t.Errorf("the store polls, but notifications are checked:\n%s", text)
	}
	django, err := postgres.NewDjangoSQL(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := lines(django.Diagnose(t.Context())); !strings.Contains(text, "fine database: version") || !strings.Contains(text, "other relays") {
		t.Errorf("the findings on Django's table are\n%s", text)
	}
	exec("DROP TABLE parley_outbox")
	if text := lines(s.Diagnose(t.Context())); strings.Contains(text, "outbox") {
		t.Errorf("a missing table is reported by the check of the migrations, but the findings are\n%s", text)
	}
}
