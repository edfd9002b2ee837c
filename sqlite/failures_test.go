package sqlite_test

import (
	"context"
	"testing"

	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/sqlite"
)

func TestFailuresKeepThePromises(t *testing.T) {
	parleytest.TestFailures(t, func(t *testing.T) parleytest.FailuresUnderTest[sqlite.Tx] {
		under := failuresUnderTest(open(t, nil))
		under.Rounds, under.Rows = 60, 1500 // with one writer more rounds test nothing new, and the race detector makes them slow
		return under
	})
}

func failuresUnderTest(s *sqlite.Store) parleytest.FailuresUnderTest[sqlite.Tx] {
	return parleytest.FailuresUnderTest[sqlite.Tx]{
		Failures:     s.Failures(),
		Inbox:        s,
		Begin:        func(ctx context.Context) (sqlite.Tx, error) { return s.DB().BeginTx(ctx, nil) },
		Commit:       func(_ context.Context, tx sqlite.Tx) error { return tx.Commit() },
		Rollback:     func(_ context.Context, tx sqlite.Tx) error { return tx.Rollback() },
		SingleWriter: true,
	}
}
