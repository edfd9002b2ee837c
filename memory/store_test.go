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

func TestStoreKeepsThePromisesOfAStore(t *testing.T) {
	parleytest.TestStore(t, func(*testing.T) parleytest.StoreUnderTest[*memory.Tx] {
		s := memory.NewStore()
		return parleytest.StoreUnderTest[*memory.Tx]{
			Store:    s,
			Begin:    s.Begin,
			Commit:   func(ctx context.Context, tx *memory.Tx) error { return tx.Commit(ctx) },
			Rollback: func(ctx context.Context, tx *memory.Tx) error { return tx.Rollback(ctx) },
		}
	})
}

func begin(t testing.TB, s *memory.Store) *memory.Tx {
	t.Helper()
	tx, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func insert(t testing.TB, s *memory.Store, tx *memory.Tx, records ...parley.Record) {
	t.Helper()
	if err := s.Insert(t.Context(), tx, records); err != nil {
		t.Fatal(err)
	}
}

func reminder(user string, due time.Time) parley.Record {
	m := parley.Message{Exchange: "mail", RoutingKey: "remind", Kind: parley.KindCommand, Body: []byte(`{}`)}
	return parley.Record{Message: m, DueAt: due, Tags: map[string]string{"user": user}}
}

func of(user string) parley.Selection {
	return parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"user": user}}
}

// due returns how many records a relay gets.
func due(t testing.TB, s *memory.Store) int {
	t.Helper()
	b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release(t.Context())
	return len(b.Records())
}

func TestStoreFollowsVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewStore()
		err := s.InTx(t.Context(), func(tx *memory.Tx) error {
			return s.Insert(t.Context(), tx, []parley.Record{reminder("7", time.Now().Add(time.Hour))})
		})
		if err != nil {
			t.Fatal(err)
		}
		if wait, ok, err := s.NextDue(t.Context()); wait != time.Hour || !ok || err != nil {
			t.Errorf("next due in %v, %t, %v, want 1h", wait, ok, err)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if n := due(t, s); n != 0 {
			t.Errorf("a nanosecond early a relay gets %d records", n)
		}
		time.Sleep(time.Nanosecond)
		if n := due(t, s); n != 1 {
			t.Errorf("at its time a relay gets %d records, want 1", n)
		}
	})
}

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

func TestRelayLeavesRecordsThatATransactionHasChanged(t *testing.T) {
	s := memory.NewStore()
	past := time.Now().Add(-time.Hour)
	_ = s.InTx(t.Context(), func(tx *memory.Tx) error {
		insert(t, s, tx, reminder("7", past), reminder("8", past), reminder("9", past))
		return nil
	})
	tx := begin(t, s)
	if n, err := s.Cancel(t.Context(), tx, of("7")); n != 1 || err != nil {
		t.Fatalf("cancel: %d, %v", n, err)
	}
	if n, err := s.Reschedule(t.Context(), tx, of("8"), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Fatalf("reschedule: %d, %v", n, err)
	}
	if n := due(t, s); n != 1 {
		t.Errorf("a relay gets %d records, want the one that no transaction changes", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := due(t, s); n != 3 {
		t.Errorf("after the rollback a relay gets %d records, want 3", n)
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

func TestUnlessWaitsForAnOpenTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, commits := range []bool{true, false} {
			s := memory.NewStore()
			unless := reminder("7", time.Now().Add(time.Hour))
			unless.UnlessTags = unless.Tags
			tx := begin(t, s)
			insert(t, s, tx, unless)
			ids := make(chan int64, 1)
			go func() {
				records := []parley.Record{unless}
				err := s.InTx(t.Context(), func(tx *memory.Tx) error { return s.Insert(t.Context(), tx, records) })
				if err != nil {
					t.Error(err)
				}
				ids <- records[0].ID
			}()
			synctest.Wait()
			if len(ids) > 0 {
				t.Error("the second insertion has not waited")
			}
			end := tx.Rollback
			if commits {
				end = tx.Commit
			}
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			if id := <-ids; (id == 0) != commits {
				t.Errorf("the first transaction commits: %t, the second one gets the id %d", commits, id)
			}
		}
	})
}

func TestPendingShowsWhatWillBeSent(t *testing.T) {
	s := memory.NewStore()
	event := reminder("7", time.Time{})
	event.Kind = parley.KindEvent
	records := []parley.Record{event, reminder("8", time.Now().Add(time.Hour))}
	_ = s.InTx(t.Context(), func(tx *memory.Tx) error { return s.Insert(t.Context(), tx, records) })
	var bodies []string
	for _, r := range s.Pending() {
		bodies = append(bodies, string(r.Body))
	}
	if want := []string{`{"eventId": 1}`, `{}`}; !slices.Equal(bodies, want) {
		t.Errorf("pending are the bodies %v, want %v", bodies, want)
	}
}
