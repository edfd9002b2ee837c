package memory_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

func TestFailuresKeepThePromisesOfATableOfFailures(t *testing.T) {
	parleytest.TestFailures(t, func(*testing.T) parleytest.FailuresUnderTest[*memory.Tx] {
		s := memory.NewStore()
		return parleytest.FailuresUnderTest[*memory.Tx]{
			Failures: s.Failures(),
			Inbox:    s,
			Begin:    s.Begin,
			Commit:   func(ctx context.Context, tx *memory.Tx) error { return tx.Commit(ctx) },
			Rollback: func(ctx context.Context, tx *memory.Tx) error { return tx.Rollback(ctx) },
			Rounds:   10_000,
			Rows:     parley.FailureStatsCap + 5000,
		}
	})
}

// failedNow returns a failure that is due after wait.
func failedNow(key string, wait time.Duration) parley.Failure {
	m := parley.Message{Exchange: "orders", RoutingKey: "placed", Body: []byte(`{}`)}
	return parley.Failure{Message: m, Key: key, State: parley.FailureWaiting, After: wait}
}

func keep(t testing.TB, f *memory.Failures, failures ...parley.Failure) []parley.KeptFailure {
	t.Helper()
	kept, err := f.Keep(t.Context(), "q", failures)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// claimDue claims what is due for a minute, of each key only the first.
func claimDue(t testing.TB, f *memory.Failures) []parley.ClaimedFailure {
	t.Helper()
	claimed, err := f.Claim(t.Context(), "q", parley.FailureClaimOptions{Limit: 100, KeyRun: 1, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

func TestParkedRowsAreSweptAfterTheirRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memory.NewStore().Failures()
		o := failedNow("", 0)
		o.State = parley.FailureParked
		keep(t, f, o)
		time.Sleep(time.Hour)
		if n, err := f.Sweep(t.Context(), "q", time.Hour, 10); n != 0 || err != nil {
			t.Errorf("at the end of the retention: %d swept, %v", n, err)
		}
		time.Sleep(time.Nanosecond)
		if n, err := f.Sweep(t.Context(), "q", time.Hour, 10); n != 1 || err != nil {
			t.Errorf("after the retention: %d swept, %v, want 1", n, err)
		}
	})
}

func TestKeepWaitsASecondForATransactionThatDeletesTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewStore()
		f := s.Failures()
		o := failedNow("", 0)
		o.RepeatOf = []byte("digest")
		first := keep(t, f, o)[0]
		tx := begin(t, s)
		if err := f.DoneIn(t.Context(), tx, claimDue(t, f)[0].FailureClaim); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := f.Keep(t.Context(), "q", []parley.Failure{o}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v keep returns %v, want an error after 1s", time.Since(start), err)
		}
		time.AfterFunc(time.Second/2, func() { _ = tx.Commit(context.Background()) })
		if kept := keep(t, f, o)[0]; kept.Repeat || kept.ID == first.ID {
			t.Errorf("when the transaction commits in time, its repeat is kept as %+v, want a new row", kept)
		}
	})
}

func BenchmarkFailures(b *testing.B) {
	for _, key := range []string{"", "user-7"} {
		b.Run("rows=100000 key="+key, func(b *testing.B) {
			f := memory.NewStore().Failures()
			for range 100 {
				keep(b, f, slices.Repeat([]parley.Failure{failedNow(key, 0)}, 1000)...)
			}
			b.ReportAllocs()
			for b.Loop() {
				keep(b, f, failedNow(key, 0))
				c := parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute}
				claimed, err := f.Claim(b.Context(), "q", c)
				if err != nil || len(claimed) != 1 {
					b.Fatal(len(claimed), err)
				}
				if err := f.Settle(b.Context(), claimed[0].FailureClaim, parley.FailureOutcome{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
