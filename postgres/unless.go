package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/parley-go/parley"
)

// lockUnless locks the address and tags of r until the end of the transaction, so that two callers do not insert at once.
// At REPEATABLE READ the lock is not enough: the transaction does not see what another one has committed since it began, and
// no statement would fail. At SERIALIZABLE the server detects the conflict and one transaction fails.
func lockUnless(ctx context.Context, c conn, r *parley.Record, unless any) error {
	key := fmt.Sprintf("%s\x1f%s\x1f%s", r.Exchange, r.RoutingKey, unless)
	const q = `SELECT CASE WHEN current_setting('transaction_isolation') = 'repeatable read' THEN false
 ELSE length(pg_advisory_xact_lock(hashtextextended($1, 0))::text) >= 0 END`
	locked := false
	if err := c.query(ctx, q, func(row scanner) error { return row.Scan(&locked) }, key); err != nil {
		return err
	}
	if !locked {
		return errLevel
	}
	return nil
}

var errLevel = &parley.InvalidError{What: "option WithUnlessTags", Value: "REPEATABLE READ", Problem: "needs a transaction at READ COMMITTED or SERIALIZABLE: " +
	"at REPEATABLE READ it does not see an event that another transaction has scheduled meanwhile, so both events would be sent"}

// checkLevel returns the error of lockUnless before the first record is written, if a later record has a condition. A condition of
// the first record is checked by lockUnless in time.
func checkLevel(ctx context.Context, c conn, records []parley.Record) error {
	conditional := func(r parley.Record) bool { return len(r.UnlessTags) > 0 }
	if slices.IndexFunc(records, conditional) < 1 {
		return nil
	}
	level := ""
	err := c.query(ctx, "SELECT current_setting('transaction_isolation')", func(row scanner) error { return row.Scan(&level) })
	if err == nil && level == "repeatable read" {
		return errLevel
	}
	return err
}
