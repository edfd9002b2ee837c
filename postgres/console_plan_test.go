package postgres_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/postgres"
)

func TestTheQueriesOfAConsoleAreIndexOnlyOrCapped(t *testing.T) {
	pool, plain := openPgx(t)
	db, err := sql.Open("pgx", pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	explained, log := explaining(t, pool)
	log.tables = []string{"parley_failed", "parley_outbox", "parley_parked", "parley_log"}
	s, err := postgres.New(explained, nil)
	if err != nil {
		t.Fatal(err)
	}
	queries := sqlstoretest.ConsoleQueries(s, s.Failures(), inTxOn(explained))
	run := func() {
		t.Helper()
		for _, q := range queries {
			seen := len(log.report)
			log.pages = q.Rows
			if err := q.Run(t.Context()); err != nil {
				t.Fatalf("%s: %v", q.Name, err)
			}
			if len(log.report) == seen && q.Name != "pauses" {
				t.Errorf("%s: no plan was sent", q.Name)
			}
		}
	}
	for range 6 { // from the sixth execution on a session reuses plans, here those for empty tables
		run()
	}
	fill := sqlstoretest.Filler[pgx.Tx]{DB: db, Kind: "postgres", Outbox: plain, Relay: plain, Failures: plain.Failures(), Log: plain, InTx: inTxOn(pool)}
	fill.Fill(t, sqlstoretest.ConsoleRows())
	log.problems, log.report = nil, nil
	run()
	for _, line := range log.report {
		t.Log(line)
	}
	for _, problem := range log.problems {
		t.Error(problem)
	}
}

// inTxOn returns a function that runs another one in a transaction of a pool.
func inTxOn(pool interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}) sqlstoretest.InTx[pgx.Tx] {
	return func(ctx context.Context, fn func(tx pgx.Tx) error) error {
		return pgx.BeginFunc(ctx, pool, fn)
	}
}
