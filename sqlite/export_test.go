package sqlite

import (
	"context"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// AnyDueQuery is the query of a relay before it writes.
var AnyDueQuery = anyDueQuery

// ReadDue reads due records as Claim does.
func ReadDue(ctx context.Context, s *Store, tx sqlstore.Tx, o parley.ClaimOptions) ([]parley.Record, error) {
	return sqlstore.ReadDue(ctx, &s.engine, tx, o, andFree, "")
}

// Finish settles within tx.
func Finish(ctx context.Context, s *Store, tx sqlstore.Tx, sent []int64) (int, error) {
	return sqlstore.Finish(ctx, &s.engine, tx, sent, nil)
}
