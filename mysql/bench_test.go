package mysql_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/parleytest"
)

func BenchmarkStore(b *testing.B) {
	sqlstoretest.Benchmark(b, func(b *testing.B) (parleytest.Store[mysql.Tx], sqlstoretest.InTx[mysql.Tx]) {
		s := open(b)
		return s, func(ctx context.Context, fn func(tx mysql.Tx) error) error {
			return s.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
		}
	})
}
