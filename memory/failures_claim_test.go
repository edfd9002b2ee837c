package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestSettleWaitsForATransactionThatDeletesTheRow(t *testing.T) {
	for _, commits := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := memory.NewStore()
			f := s.Failures()
			keep(t, f, failedNow("", 0))
			c := claimDue(t, f)[0].FailureClaim
			tx := begin(t, s)
			if err := f.DoneIn(t.Context(), tx, c); err != nil {
				t.Fatal(err)
			}
			short, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			retry := parley.FailureOutcome{Action: parley.FailureRetry}
			if err := f.Settle(short, c, retry); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("settle beside an open transaction: %v, want the context's error", err)
			}
			end, want := tx.Rollback, error(nil)
			if commits {
				end, want = tx.Commit, parley.ErrClaimLost
			}
			time.AfterFunc(time.Second, func() { _ = end(context.Background()) })
			if err := f.Settle(t.Context(), c, retry); !errors.Is(err, want) {
				t.Errorf("the transaction commits: %t, settle returns %v, want %v", commits, err, want)
			}
		})
	}
}

func TestDoneInReportsEndedTransactionsAndDeadlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewStore()
		f := s.Failures()
		keep(t, f, failedNow("", 0), failedNow("", 0))
		claimed := claimDue(t, f)
		first, second := begin(t, s), begin(t, s)
		done := func(tx *memory.Tx, n int) error { return f.DoneIn(t.Context(), tx, claimed[n].FailureClaim) }
		if err := errors.Join(done(first, 0), done(second, 1)); err != nil {
			t.Fatal(err)
		}
		if err := done(first, 0); !errors.Is(err, parley.ErrClaimLost) {
			t.Errorf("the same row twice in one transaction: %v, want ErrClaimLost", err)
		}
		result := make(chan error, 1)
		go func() { result <- done(first, 1) }()
		synctest.Wait()
		if err := done(second, 0); !errors.Is(err, memory.ErrDeadlock) {
			t.Errorf("two transactions that wait for each other: %v, want ErrDeadlock", err)
		}
		_ = second.Rollback(t.Context())
		if err := <-result; err != nil {
			t.Errorf("after the rollback of the other one: %v", err)
		}
		_ = first.Rollback(t.Context())
		if err := done(first, 0); !errors.Is(err, memory.ErrTxDone) {
			t.Errorf("in an ended transaction: %v, want ErrTxDone", err)
		}
	})
}
