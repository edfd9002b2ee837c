package postgres_test

import (
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// A row of a newer version, or a damaged one, must neither block those behind it nor be lost.
func TestAnUnreadableRowIsParked(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		f.keep(t, keyed("k", "a"), keyed("k", "b"), failed("x"))
		f.exec(t, `UPDATE parley_failed SET envelope = '\xff' WHERE message_id = 'a'`)
		if got := bodies(f.claim(t, parley.FailureClaimOptions{Limit: 9})); got != "x" {
			t.Errorf("claimed %q, want the readable row", got)
		}
		rows, err := f.List(t.Context(), parley.FailureQuery{States: []parley.FailureState{parley.FailureParked}}, 0, 10)
		if err != nil || len(rows) != 1 || rows[0].Message.ID != "a" || rows[0].History.Reason == "" || !rows[0].Holds {
			t.Errorf("parked is %+v (%v), want the row with a reason, holding its key", rows, err)
		}
	})
}

// The lease of a long transaction cannot be renewed, because its own DELETE locks the row. The row cannot be claimed meanwhile, so it is not due.
func TestARowInALongTransactionIsNeitherDueNorClaimed(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		f.keep(t, failed("x"))
		c := f.claim(t, parley.FailureClaimOptions{Lease: time.Millisecond})[0].FailureClaim
		err := f.doneIn(t.Context(), c, func() error {
			f.exec(t, "SELECT pg_sleep(0.01)")
			if wait, ok, err := f.NextDue(t.Context(), "mail"); !ok || wait <= 0 || err != nil {
				t.Errorf("the row has been due for %v (%v): a consumer would poll in a loop", -wait, err)
			}
			if rows := f.claim(t, parley.FailureClaimOptions{Limit: 9}); len(rows) != 0 {
				t.Errorf("claimed %q", bodies(rows))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
