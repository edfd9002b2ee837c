package mysql

import (
	"context"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// PretendNoReturning makes s insert like on MySQL, whatever the server is.
func PretendNoReturning(s *Store) { s.server.Store(&server{returning: false}) }

// ReadDue reads due records as Claim does.
func ReadDue(ctx context.Context, s *Store, tx sqlstore.Tx, o parley.ClaimOptions) ([]parley.Record, error) {
	return sqlstore.ReadDue(ctx, &s.engine, tx, o, "", " FOR UPDATE SKIP LOCKED")
}

// Finish settles within tx.
func Finish(ctx context.Context, s *Store, tx sqlstore.Tx, sent []int64) (int, error) {
	elsewhere, err := sqlstore.Finish(ctx, &s.engine, tx, sent, nil)
	if err != nil {
		return 0, err
	}
	return elsewhere, dropTags(ctx, tx, sent)
}
