package sqlite_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/sqlite"
)

func TestCancelStormCountsExactlyWhatIsNeverSent(t *testing.T) {
	s := open(t, nil)
	sqlstoretest.CancelStorm(t, s, func(ctx context.Context, fn func(tx sqlite.Tx) error) error {
		return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
	}, sqlstoretest.StormSize(t))
}

func TestWorkersOnFewKeysDoNotDeadlock(t *testing.T) {
	s := open(t, nil)
	sqlstoretest.FailureStorm(t, sqlstoretest.FailureTable[sqlite.Tx](s.Failures()), parley.InboxStore[sqlite.Tx](s), sqlstoretest.StormSize(t)/5)
}
