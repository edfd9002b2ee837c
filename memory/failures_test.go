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

func TestFailuresFollowVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memory.NewStore().Failures()
		keep(t, f, failedNow("", time.Hour))
		if wait, ok, err := f.NextDue(t.Context(), "q"); wait != time.Hour || !ok || err != nil {
			t.Errorf("next due in %v, %t, %v, want 1h", wait, ok, err)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if n := len(claimDue(t, f)); n != 0 {
			t.Errorf("a nanosecond early %d rows are due", n)
		}
		time.Sleep(time.Nanosecond)
		if n := len(claimDue(t, f)); n != 1 {
			t.Errorf("after an hour %d rows are due, want 1", n)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if n := len(claimDue(t, f)); n != 0 {
			t.Errorf("a nanosecond before the end of the lease %d rows are due", n)
		}
		time.Sleep(time.Nanosecond)
		if n := len(claimDue(t, f)); n != 1 {
			t.Errorf("at the end of the lease %d rows are due, want 1", n)
		}
	})
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

func TestFailuresRefuseWrongUse(t *testing.T) {
	f := memory.NewStore().Failures()
	keep(t, f, failedNow("", 0))
	for _, o := range []parley.FailureClaimOptions{{KeyRun: 1, Lease: 1}, {Limit: 1, Lease: 1}, {Limit: 1, KeyRun: 1}} {
		if _, err := f.Claim(t.Context(), "q", o); err == nil {
			t.Errorf("a claim with %+v reports success", o)
		}
	}
	for _, state := range []parley.FailureState{"", parley.FailureBehind, parley.FailureRunning, "odd"} {
		if _, err := f.Keep(t.Context(), "q", []parley.Failure{{State: state}}); err == nil {
			t.Errorf("a failure with the state %q was kept", state)
		}
	}
	c := claimDue(t, f)[0].FailureClaim
	if err := f.Settle(t.Context(), c, parley.FailureOutcome{Action: 99}); err == nil {
		t.Error("an unknown action reports success")
	}
	if n, err := f.Move(t.Context(), "q", "q"); n != 0 || err != nil {
		t.Errorf("a move to the same consumer: %d, %v", n, err)
	}
}

func TestFailuresHeedAnEndedContext(t *testing.T) {
	f := memory.NewStore().Failures()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"check":   func() error { return f.Check(ctx) },
		"keep":    func() error { _, err := f.Keep(ctx, "q", nil); return err },
		"claim":   func() error { _, err := f.Claim(ctx, "q", parley.FailureClaimOptions{}); return err },
		"renew":   func() error { _, err := f.Renew(ctx, nil, time.Minute); return err },
		"settle":  func() error { return f.Settle(ctx, parley.FailureClaim{}, parley.FailureOutcome{}) },
		"keys":    func() error { _, err := f.KeysWithRows(ctx, "q", nil); return err },
		"due":     func() error { _, _, err := f.NextDue(ctx, "q"); return err },
		"sweep":   func() error { _, err := f.Sweep(ctx, "q", 0, 1); return err },
		"promote": func() error { return f.Promote(ctx, "q", "k") },
		"list":    func() error { _, err := f.List(ctx, parley.FailureQuery{}, 0, 1); return err },
		"get":     func() error { _, err := f.Get(ctx, 1); return err },
		"replay":  func() error { _, err := f.Replay(ctx, parley.FailureQuery{}, 0); return err },
		"edit":    func() error { return f.Edit(ctx, 1, nil) },
		"drop":    func() error { _, _, err := f.Drop(ctx, parley.FailureQuery{}); return err },
		"move":    func() error { _, err := f.Move(ctx, "q", "r"); return err },
		"stats":   func() error { _, err := f.Stats(ctx, ""); return err },
		"names":   func() error { _, err := f.Consumers(ctx); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want its error", name, err)
		}
	}
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
