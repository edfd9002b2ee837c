package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/postgres"
)

// consumerRights are the privileges that docs/operations.md grants to a consumer on the table of failed deliveries.
var consumerRights = []string{"SELECT, INSERT, UPDATE, DELETE ON parley_failed", "USAGE ON SEQUENCE parley_failed_id_seq"}

func failuresOf(t *testing.T, pool *pgxpool.Pool) *postgres.Failures {
	t.Helper()
	store, err := postgres.New(pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store.Failures()
}

// Check reports each problem that would stop a consumer at its first failure, with a hint.
func TestCheckNamesWhatIsMissingForFailedDeliveries(t *testing.T) {
	ctx := t.Context()
	owner, _ := openPgx(t)
	check := func(what string, f *postgres.Failures, want ...string) {
		t.Helper()
		err := f.Check(ctx)
		if len(want) == 0 {
			if err != nil {
				t.Errorf("%s: %v, want no problem", what, err)
			}
			return
		}
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want an error with %q", what, err, text)
			}
		}
	}
	check("the owner", failuresOf(t, owner))
	check("a consumer", failuresOf(t, as(t, owner, consumerRights...)))
	check("a reader", failuresOf(t, as(t, owner, "SELECT ON parley_failed")), "INSERT, UPDATE, DELETE", "GRANT", "parley_failed_id_seq")
	_, readOnly := withSession(t, owner, "SET default_transaction_read_only = on")
	check("a read-only session", readOnly, "read-only")
	for _, change := range []struct{ statement, want string }{
		{"ALTER TABLE parley_failed SET UNLOGGED", "SET LOGGED"},
		{"DROP TABLE parley_failed", `run "parley migrate up"`},
	} {
		if _, err := owner.Exec(ctx, change.statement); err != nil {
			t.Fatal(err)
		}
		check(change.statement, failuresOf(t, owner), change.want)
	}
}

// Guarantee: a consumer works with the privileges that docs/operations.md grants it, and no others.
func TestLeastPrivilegesAreEnoughForFailedDeliveries(t *testing.T) {
	owner, _ := openPgx(t)
	useFailures(t, failuresOf(t, as(t, owner, consumerRights...)))
}

func TestFailedDeliveriesInATableAndSchemaOfTheirOwn(t *testing.T) {
	ctx := t.Context()
	pool := newPool(t)
	for _, cfg := range []postgres.Config{
		{FailedTable: "failed"}, {FailedTable: "Failed"}, {FailedTable: strings.Repeat("f", 40)},
		{Schema: "Messages"}, {Schema: "Messages", FailedTable: "Failed$1"}, {},
	} {
		store, err := postgres.New(pool, &cfg)
		for range 2 { // the second run has nothing to do
			if err == nil {
				err = store.Migrate(ctx)
			}
		}
		if err != nil {
			t.Fatalf("%+v: %v", cfg, err)
		}
		f := store.Failures()
		if err := f.Check(ctx); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
		useFailures(t, f)
		if st, err := f.Stats(ctx, "mail"); err != nil || st.Parked+st.Waiting == 0 {
			t.Errorf("%+v: the table has %+v (%v), want the earlier rows", cfg, st, err)
		}
		status, err := store.MigrationStatus(ctx)
		for _, m := range status {
			if !m.Applied {
				t.Errorf("%+v: migration %+v is not applied", cfg, m)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
	var indexes int
	const q = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'Failed' AND indexname LIKE 'Failed\\_%'"
	if err := pool.QueryRow(ctx, q).Scan(&indexes); err != nil || indexes != 11 {
		t.Errorf("the table Failed has %d indexes (%v), want 11", indexes, err)
	}
}

// Rows of one table of failed deliveries do not appear in another one.
func TestTablesOfFailedDeliveriesAreApart(t *testing.T) {
	pool, store := openPgx(t)
	other, err := postgres.New(pool, &postgres.Config{FailedTable: "other_failed"})
	if err == nil {
		err = other.Migrate(t.Context())
	}
	if err == nil {
		_, err = other.Failures().Keep(t.Context(), "mail", []parley.Failure{failed("x")})
	}
	if err != nil {
		t.Fatal(err)
	}
	if st, err := store.Failures().Stats(t.Context(), ""); err != nil || st != (parley.FailureStats{}) {
		t.Errorf("a row of another table is counted: %+v (%v)", st, err)
	}
}

func TestTablesOfFailedDeliveriesWithImpossibleNamesAreRefused(t *testing.T) {
	pool := newPool(t)
	for _, name := range []string{"a b", `a"b`, "a;b", "1a", strings.Repeat("a", 41), "a\x00", "parley_outbox", "parley_inbox", "parley_parked", "parley_migrations"} {
		if _, err := postgres.New(pool, &postgres.Config{FailedTable: name}); err == nil || !strings.Contains(err.Error(), "FailedTable") {
			t.Errorf("table %q: %v, want an error that names FailedTable", name, err)
		}
	}
}

// An outbox in use gets the new table by its next migration, and keeps its records.
func TestAnExistingOutboxGetsTheTableOfFailedDeliveries(t *testing.T) {
	ctx := t.Context()
	pool, store := openPgx(t)
	_, err := pool.Exec(ctx, "DROP TABLE parley_failed, parley_log, parley_control; DELETE FROM parley_migrations WHERE version_id >= 2")
	if err == nil {
		err = produce(ctx, pool, store, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Failures().Check(ctx); err == nil {
		t.Error("a missing table has passed the check")
	}
	if err := store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := store.Failures().Check(ctx); err != nil {
		t.Error(err)
	}
	drained(t, store, 1)
}

// Behind a transaction pooler no statement is prepared, so the server must infer the types of parameters.
func TestFailedDeliveriesNeedNoPreparedStatements(t *testing.T) {
	owner, _ := openPgx(t)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeSimpleProtocol} {
		cfg := owner.Config()
		cfg.ConnConfig.DefaultQueryExecMode = mode
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		f := failuresOf(t, pool)
		useFailures(t, f)
		claimed, err := f.Claim(t.Context(), "mail", parley.FailureClaimOptions{Limit: 5, KeyRun: 5, Lease: time.Minute})
		if err != nil {
			t.Errorf("mode %v: %v", mode, err)
		}
		for _, c := range claimed {
			if c.Message.Exchange != "user" || len(c.Message.Body) == 0 {
				t.Errorf("mode %v: claimed %+v", mode, c.Message)
			}
		}
		pool.Close()
	}
}
