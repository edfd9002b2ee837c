package mysql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/parleytest"
)

func TestFailuresKeepThePromises(t *testing.T) {
	t.Parallel() // mostly waits
	parleytest.TestFailures(t, func(t *testing.T) parleytest.FailuresUnderTest[mysql.Tx] {
		return failuresUnderTest(open(t), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	})
}

// The isolation level of users' transactions is the server's default, and the session has settings of its own; see openPlain.
func TestFailuresKeepThePromisesOnADatabaseWithOtherSettings(t *testing.T) {
	testenv.Long(t, "takes half a minute, and the same suite runs with the usual settings")
	t.Parallel() // mostly waits
	parleytest.TestFailures(t, func(t *testing.T) parleytest.FailuresUnderTest[mysql.Tx] {
		under := failuresUnderTest(openPlain(t), nil)
		under.Rounds, under.Rows = 40, 1000 // the other settings have the large numbers
		return under
	})
}

func failuresUnderTest(s *mysql.Store, isolation *sql.TxOptions) parleytest.FailuresUnderTest[mysql.Tx] {
	return parleytest.FailuresUnderTest[mysql.Tx]{
		Failures: s.Failures(),
		Inbox:    s,
		Begin:    func(ctx context.Context) (mysql.Tx, error) { return s.DB().BeginTx(ctx, isolation) },
		Commit:   func(_ context.Context, tx mysql.Tx) error { return tx.Commit() },
		Rollback: func(_ context.Context, tx mysql.Tx) error { return tx.Rollback() },
	}
}
