package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/mysql"
)

func TestCancelStormCountsExactlyWhatIsNeverSent(t *testing.T) {
	s := open(t)
	sqlstoretest.CancelStorm(t, s, userTx(s), sqlstoretest.StormSize(t))
}

// userTx runs transactions like a careful user: it repeats them after a deadlock.
func userTx(s *mysql.Store) func(ctx context.Context, fn func(tx mysql.Tx) error) error {
	return func(ctx context.Context, fn func(tx mysql.Tx) error) error {
		return sqlstore.Retry(ctx, deadlock, func() error {
			return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		})
	}
}

func deadlock(err error) bool {
	e, ok := errors.AsType[*driver.MySQLError](err)
	return ok && e.Number == 1213
}

func TestWorkersOnFewKeysDoNotDeadlock(t *testing.T) {
	s := open(t)
	sqlstoretest.FailureStorm(t, sqlstoretest.FailureTable[mysql.Tx](s.Failures()), parley.InboxStore[mysql.Tx](s), sqlstoretest.StormSize(t)/5)
}
