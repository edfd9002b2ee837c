package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
)

func TestInsertIntoTheDjangoTable(t *testing.T) {
	sqlstoretest.DjangoInsert(t, func(t *testing.T, version string) (sqlstoretest.DjangoStore[pgx.Tx], sqlstoretest.InTx[pgx.Tx]) {
		pool, store := openDjango(t, version)
		return store, func(ctx context.Context, fn func(tx pgx.Tx) error) error { return pgx.BeginFunc(ctx, pool, fn) }
	})
}
