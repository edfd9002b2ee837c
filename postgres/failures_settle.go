package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// Renew implements parley.FailureStore. It does not renew locked rows: their handlers' own transactions have
// deleted them, and no consumer can claim the rows while those transactions are open.
func (f *failures[Tx]) Renew(ctx context.Context, claims []parley.FailureClaim, lease time.Duration) (lost []parley.FailureClaim, err error) {
	if len(claims) == 0 {
		return nil, nil
	}
	t := f.e.names.failed
	ids, numbers := make([]int64, len(claims)), make([]int64, len(claims))
	for i, c := range claims {
		ids[i], numbers[i] = c.ID, c.Number
	}
	const given = "unnest($1::text::bigint[], $2::text::bigint[]) WITH ORDINALITY c (id, claim, n)"
	renew := "WITH held AS (SELECT f.id FROM " + given + " JOIN " + t + " f ON f.id = c.id AND f.claim = c.claim WHERE f.state = 'running'" +
		" FOR UPDATE OF f SKIP LOCKED) UPDATE " + t + " f SET due_at = statement_timestamp() + make_interval(secs => $3) FROM held WHERE f.id = held.id"
	missing := "SELECT c.n FROM " + given + " LEFT JOIN LATERAL (SELECT true AS yes FROM " + t +
		" f WHERE f.id = c.id AND f.claim = c.claim AND f.state = 'running' LIMIT 1) x ON true WHERE x.yes IS NULL"
	err = f.run(ctx,
		statement{query: renew, args: []any{idList(ids), idList(numbers), seconds(lease)}},
		statement{query: missing, args: []any{idList(ids), idList(numbers)}, scan: func(row scanner) error {
			var n int64
			err := row.Scan(&n)
			lost = append(lost, claims[n-1])
			return err
		}})
	if err != nil {
		return nil, fmt.Errorf("postgres: renew claims of failed deliveries: %w", err)
	}
	return lost, nil
}

// Settle implements parley.FailureStore.
func (f *failures[Tx]) Settle(ctx context.Context, c parley.FailureClaim, o parley.FailureOutcome) error {
	var key, state string
	settled, exists := 0, false
	q, args := f.settleQuery(o)
	if q == "" {
		return fmt.Errorf("postgres: settle failed delivery %d: unknown action %d", c.ID, o.Action)
	}
	err := f.run(ctx,
		statement{query: q, args: append([]any{c.ID, c.Number}, args...), scan: func(row scanner) error {
			settled++
			return row.Scan(&key, &state)
		}},
		statement{query: "SELECT true FROM " + f.e.names.failed + " WHERE id = $1", args: []any{c.ID}, scan: func(row scanner) error {
			return row.Scan(&exists)
		}})
	switch {
	case err != nil:
		return fmt.Errorf("postgres: settle failed delivery %d: %w", c.ID, err)
	case settled == 0 && o.Action == parley.FailureDone && !exists:
		return nil // its handler's transaction has deleted it
	case settled == 0:
		return fmt.Errorf("postgres: settle failed delivery %d: %w", c.ID, parley.ErrClaimLost)
	}
	if key != "" && state != string(parley.FailureWaiting) {
		f.promoteAfter(ctx, c.Consumer, []string{key})
	}
	return nil
}

// settleQuery returns the change of a row for an outcome, and the arguments from $3 on. A row that must wait but is not the first
// of its key becomes behind.
func (f *failures[Tx]) settleQuery(o parley.FailureOutcome) (string, []any) {
	const mine = " WHERE f.id = $1 AND f.claim = $2 AND f.state = 'running' RETURNING f.ordering_key, "
	update := "UPDATE " + f.e.names.failed + " f SET claimed_by = '', "
	wait := func(due string) string {
		return "state = CASE WHEN " + f.hasEarlier() + " THEN 'behind' ELSE 'waiting' END, due_at = CASE WHEN NOT " + f.hasEarlier() + " THEN " + due + " END"
	}
	const history = ", begun = 0, hops = $3, attempts = $4, replays = $5, first_failure = $6::text::timestamptz, last_failure = $7::text::timestamptz," +
		" first_error = $8, last_error = $9, reason = $10, fingerprint = $11"
	args := append(historyArgs(o.History), o.Fingerprint)
	switch o.Action {
	case parley.FailureDone:
		return "DELETE FROM " + f.e.names.failed + " f" + mine + "''", nil
	case parley.FailureRetry:
		return update + wait("clock_timestamp() + make_interval(secs => $12)") + history + mine + "f.state", append(args, seconds(o.After))
	case parley.FailurePark:
		return update + "state = 'parked', due_at = NULL, parked_at = clock_timestamp(), holds = $12" + history + mine + "f.state", append(args, o.Holds)
	case parley.FailureRelease:
		return update + wait("clock_timestamp()") + ", begun = greatest(f.begun - 1, 0)" + mine + "f.state", nil
	}
	return "", nil
}

// SharesTx implements parley.FailureTx. It reports whether the inbox uses the same pool.
func (f *failures[Tx]) SharesTx(inbox parley.InboxStore[Tx]) bool {
	o, ok := inbox.(interface{ pooled() any })
	return ok && o.pooled() == f.e.pool
}

// DoneIn implements parley.FailureTx.
func (f *failures[Tx]) DoneIn(ctx context.Context, tx Tx, c parley.FailureClaim) error {
	n, err := f.e.use(tx).exec(ctx, "DELETE FROM "+f.e.names.failed+" WHERE id = $1 AND claim = $2 AND state = 'running'", c.ID, c.Number)
	if err != nil {
		return fmt.Errorf("postgres: delete failed delivery %d: %w", c.ID, err)
	}
	if n == 0 {
		return fmt.Errorf("postgres: delete failed delivery %d: %w", c.ID, parley.ErrClaimLost)
	}
	return nil
}
