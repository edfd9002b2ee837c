package sqlite_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/sqlite"
)

func BenchmarkStore(b *testing.B) {
	sqlstoretest.Benchmark(b, func(b *testing.B) (parleytest.Store[sqlite.Tx], sqlstoretest.InTx[sqlite.Tx]) {
		s := open(b, nil)
		return s, func(ctx context.Context, fn func(tx sqlite.Tx) error) error {
			return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		}
	})
}
