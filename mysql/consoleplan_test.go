package mysql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/mysql"
)

func TestTheQueriesOfAConsoleAreIndexOnlyOrCapped(t *testing.T) {
	s := open(t)
	s.DB().SetMaxOpenConns(1) // one session, whose reads are counted
	s.DB().SetConnMaxLifetime(0)
	fill := sqlstoretest.Filler[mysql.Tx]{DB: s.DB(), Kind: "mysql", Outbox: s, Relay: s, Failures: s.Failures(), Log: s, InTx: inTxOf(s)}
	fill.Fill(t, sqlstoretest.ConsoleRows())
	for _, q := range sqlstoretest.ConsoleQueries(s, s.Failures(), inTxOf(s)) {
		before := rowsRead(t, s)
		if err := q.Run(t.Context()); err != nil {
			t.Fatalf("%s: %v", q.Name, err)
		}
		n := rowsRead(t, s) - before
		t.Logf("%7d rows: %s", n, q.Name)
		if n > q.Rows+statusRows {
			t.Errorf("%s reads %d rows, want %d at most", q.Name, n, q.Rows)
		}
	}
}

func inTxOf(s *mysql.Store) sqlstoretest.InTx[mysql.Tx] {
	return func(ctx context.Context, fn func(tx mysql.Tx) error) error {
		return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
	}
}
