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
				// The benchmarks return an error to roll back; any other error would be joined to it.
				return errors.Join(err, tx.Rollback())
			}
			return tx.Commit()
		}
	})
}
