package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-go/parley/postgres"
)

// Teams that run the statements by hand must not drop the tables with the last statements.
func TestTheStatementsOfMigrationsMakeTheTablesAndDropNone(t *testing.T) {
	text, err := postgres.MigrationSQL(nil)
	if err != nil || strings.Contains(text, "DROP TABLE") {
		t.Errorf("MigrationSQL returns %v and statements that drop:\n%s", err, text)
	}
	pool := newPool(t)
	if _, err := pool.Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := failuresOf(t, pool).Check(t.Context()); err != nil {
		t.Error(err)
	}
	store, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	nothingToMigrate(t, store)
}

func nothingToMigrate(t *testing.T, store *postgres.Store) {
	t.Helper()
	steps, err := store.MigrationStatus(t.Context())
	for _, step := range steps {
		if !step.Applied {
			t.Errorf("migration %s is not recorded as applied", step.Name)
		}
	}
	if err := errors.Join(err, store.Migrate(t.Context())); err != nil || len(steps) == 0 {
		t.Errorf("%d migrations; migrate after the statements: %v", len(steps), err)
	}
}

// The statements record their versions, so that Migrate has nothing to do afterwards.
func TestTheStatementsOfMigrationsWithASchemaLeaveNothingToMigrate(t *testing.T) {
	cfg := &postgres.Config{Schema: "Messages", FailedTable: "orders_failed", PollOnly: true}
	text, err := postgres.MigrationSQL(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pool := newPool(t)
	if _, err := pool.Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	store, err := postgres.New(pool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	nothingToMigrate(t, store)
	if err := store.Failures().Check(t.Context()); err != nil {
		t.Error(err)
	}
	var triggers int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_trigger WHERE tgname = 'parley_outbox_notify'").Scan(&triggers); err != nil || triggers != 0 {
		t.Errorf("%d triggers (%v), want none with PollOnly", triggers, err)
	}
}

func TestTheStatementsOfMigrationsRefuseABadName(t *testing.T) {
	for _, cfg := range []*postgres.Config{{Schema: "a\x00b"}, {FailedTable: strings.Repeat("x", 100)}} {
		if text, err := postgres.MigrationSQL(cfg); err == nil {
			t.Errorf("%+v gives %.80q, want an error", cfg, text)
		}
	}
}
