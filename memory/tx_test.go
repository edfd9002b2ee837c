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

func TestInTxRollsBackOnErrorAndPanic(t *testing.T) {
	s := memory.NewStore()
	failed := errors.New("failed")
	err := s.InTx(t.Context(), func(tx *memory.Tx) error {
		insert(t, s, tx, reminder("7", time.Time{}))
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want the function's error", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = s.InTx(t.Context(), func(tx *memory.Tx) error {
			insert(t, s, tx, reminder("7", time.Time{}))
			panic("oh")
		})
	}()
	if n := len(s.Pending()); n != 0 {
		t.Errorf("%d records of transactions that have failed", n)
	}
}

func TestEndedTransactionCannotBeUsed(t *testing.T) {
	s := memory.NewStore()
	tx := begin(t, s)
	ctx := t.Context()
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	_, cancelErr := s.Cancel(ctx, tx, of("7"))
	_, moveErr := s.Reschedule(ctx, tx, of("7"), time.Now())
	_, listErr := s.Scheduled(ctx, tx, of("7"), 1)
	for what, err := range map[string]error{
		"commit": tx.Commit(ctx), "insert": s.Insert(ctx, tx, []parley.Record{reminder("7", time.Time{})}),
		"cancel": cancelErr, "reschedule": moveErr, "list": listErr,
	} {
		if !errors.Is(err, memory.ErrTxDone) {
			t.Errorf("%s after the end: %v, want ErrTxDone", what, err)
		}
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Errorf("rollback after the end: %v", err)
	}
}

func TestCommitWithAnEndedContextRollsBack(t *testing.T) {
	s := memory.NewStore()
	tx := begin(t, s)
	insert(t, s, tx, reminder("7", time.Time{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tx.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v, want the context's error", err)
	}
	if n := len(s.Pending()); n != 0 {
		t.Errorf("%d records were committed", n)
	}
	if err := tx.Commit(t.Context()); !errors.Is(err, memory.ErrTxDone) {
		t.Errorf("commit again: %v, want ErrTxDone", err)
	}
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewStore()
		_ = s.InTx(t.Context(), func(tx *memory.Tx) error {
			insert(t, s, tx, reminder("7", time.Now()))
			return nil
		})
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		tx := begin(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Cancel(ctx, tx, of("7")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancel: %v, want the context's error", err)
		}
		if _, _, err := s.Delete(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("delete: %v, want the context's error", err)
		}
		if err := b.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Cancel(t.Context(), tx, of("7")); n != 1 || err != nil {
			t.Errorf("cancel after the release: %d, %v", n, err)
		}
	})
}

func TestDeadlockIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewStore()
		_ = s.InTx(t.Context(), func(tx *memory.Tx) error {
			insert(t, s, tx, reminder("7", time.Now().Add(time.Hour)), reminder("8", time.Now().Add(time.Hour)))
			return nil
		})
		first, second := begin(t, s), begin(t, s)
		cancel := func(tx *memory.Tx, user string) (int, error) { return s.Cancel(t.Context(), tx, of(user)) }
		_, err1 := cancel(first, "7")
		_, err2 := cancel(second, "8")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			n, err := cancel(first, "8")
			if n != 1 && err == nil {
				err = errors.New("nothing cancelled")
			}
			done <- err
		}()
		synctest.Wait()
		if _, err := cancel(second, "7"); !errors.Is(err, memory.ErrDeadlock) {
			t.Errorf("the second transaction gets %v, want ErrDeadlock", err)
		}
		_ = second.Rollback(t.Context())
		if err := <-done; err != nil {
			t.Errorf("after its rollback the first one gets %v", err)
		}
		_ = first.Rollback(t.Context())
	})
}
