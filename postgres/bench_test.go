package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/parleytest"
	"github.com/parley-go/parley/postgres"
)

func BenchmarkStore(b *testing.B) {
	sqlstoretest.Benchmark(b, func(b *testing.B) (parleytest.Store[postgres.Tx], sqlstoretest.InTx[postgres.Tx]) {
		db, s := openSQL(b)
		return s, func(ctx context.Context, fn func(tx postgres.Tx) error) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			if err := fn(tx); err != nil {
				// Rolled back is what the benchmarks ask for with their error; another one would be joined.
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		}
	})
}
