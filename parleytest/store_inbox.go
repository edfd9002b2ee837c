package parleytest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley"
)

func inboxPromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "InboxRunsTheEffectOnce", run: inboxRunsTheEffectOnce[Tx]},
		{name: "InboxDuplicatesInParallelRunOnce", run: inboxDuplicatesInParallelRunOnce[Tx]},
		{name: "InboxDuplicateRunsAfterTheFirstHasFailed", run: inboxDuplicateRunsAfterAFailure[Tx], sideBySide: true},
		{name: "InboxRollsBackWithTheHandler", run: inboxRollsBackWithTheHandler[Tx]},
		{name: "InboxRollsBackAPanic", run: inboxRollsBackAPanic[Tx]},
		{name: "InboxKeepsConsumersApart", run: inboxKeepsConsumersApart[Tx]},
		{name: "InboxComparesIdentitiesByteForByte", run: inboxComparesByteForByte[Tx]},
		{name: "InboxRunsWithoutAnIdentity", run: inboxRunsWithoutAnIdentity[Tx]},
		{name: "InboxSweepForgetsOldOnly", run: inboxSweepForgetsOldOnly[Tx]},
		{name: "InboxSweepLeavesOtherConsumersAlone", run: inboxSweepLeavesOthersAlone[Tx]},
	}
}

// once runs a handler that inserts one record.
func (s *storeTest[Tx]) once(consumer, id string) error {
	return s.Store.Once(s.ctx, consumer, id, func(ctx context.Context, tx Tx) error {
		return s.Store.Insert(ctx, tx, numbered(1))
	})
}

// wantOnce runs the handler and fails the test if it has no effect.
func (s *storeTest[Tx]) wantOnce(consumer, id string) {
	s.Helper()
	s.must(s.once(consumer, id), "first delivery of "+id)
}

// wantDuplicate runs the handler and fails the test unless it returns ErrDuplicate.
func (s *storeTest[Tx]) wantDuplicate(consumer, id string) {
	s.Helper()
	if err := s.once(consumer, id); !errors.Is(err, parley.ErrDuplicate) {
		s.Fatalf("second delivery of %s: %v, want ErrDuplicate", id, err)
	}
}

// wantEffects compares the number of effects with want.
func (s *storeTest[Tx]) wantEffects(want int) {
	s.Helper()
	if got := len(s.peek()); got != want {
		s.Errorf("%d effects, want %d", got, want)
	}
}

func inboxRunsTheEffectOnce[Tx any](s *storeTest[Tx]) {
	s.wantOnce("billing", "m-1")
	s.wantDuplicate("billing", "m-1")
	s.wantOnce("billing", "m-2")
	s.wantDuplicate("billing", "m-1")
	s.wantEffects(2)
}

func inboxDuplicatesInParallelRunOnce[Tx any](s *storeTest[Tx]) {
	const messages, copies = 5, 5
	var wg sync.WaitGroup
	var ran, duplicates atomic.Int64
	errs := make(chan error, messages*copies)
	for n := range messages * copies {
		wg.Go(func() {
			id := "m-" + string(rune('a'+n%messages))
			switch err := s.once("billing", id); {
			case err == nil:
				ran.Add(1)
			case errors.Is(err, parley.ErrDuplicate):
				duplicates.Add(1)
			default:
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		s.Errorf("a duplicate in parallel: %v, want nil or ErrDuplicate", err)
	}
	if ran.Load() != messages || duplicates.Load() != messages*(copies-1) {
		s.Errorf("%d messages, %d copies each: %d ran and %d were duplicates", messages, copies, ran.Load(), duplicates.Load())
	}
	s.wantEffects(messages)
}

func inboxDuplicateRunsAfterAFailure[Tx any](s *storeTest[Tx]) {
	began, fail := make(chan struct{}), make(chan struct{})
	first, second := make(chan error, 1), make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		first <- s.Store.Once(s.ctx, "billing", "m-1", func(context.Context, Tx) error {
			close(began)
			select {
			case <-fail:
			case <-s.ctx.Done():
			}
			return errors.New("handler failed")
		})
	})
	receive(s.T, began, "the first handler is running")
	wg.Go(func() { second <- s.once("billing", "m-1") })
	silent(s.T, second, "a duplicate did not wait for the first delivery")
	close(fail)
	if err := receive(s.T, first, "the first one has failed"); err == nil {
		s.Errorf("the first delivery failed but reported success")
	}
	s.must(receive(s.T, second, "the duplicate ran"), "the duplicate after the failure")
	s.wantEffects(1)
}

func inboxRollsBackWithTheHandler[Tx any](s *storeTest[Tx]) {
	failed := errors.New("handler failed")
	err := s.Store.Once(s.ctx, "billing", "m-1", func(ctx context.Context, tx Tx) error {
		return errors.Join(s.Store.Insert(ctx, tx, numbered(1)), failed)
	})
	if !errors.Is(err, failed) {
		s.Errorf("a handler's error was returned as %v", err)
	}
	s.wantEffects(0)
	s.wantOnce("billing", "m-1")
	s.wantEffects(1)
}

func inboxRollsBackAPanic[Tx any](s *storeTest[Tx]) {
	func() {
		defer func() {
			if v := recover(); v != "handler panicked" {
				s.Errorf("a handler's panic was recovered as %v", v)
			}
		}()
		_ = s.Store.Once(s.ctx, "billing", "m-1", func(ctx context.Context, tx Tx) error {
			if err := s.Store.Insert(ctx, tx, numbered(1)); err != nil {
				return err
			}
			panic("handler panicked")
		})
	}()
	s.wantEffects(0)
	s.wantOnce("billing", "m-1")
	s.wantEffects(1)
}

func inboxKeepsConsumersApart[Tx any](s *storeTest[Tx]) {
	s.wantOnce("billing", "m-1")
	s.wantOnce("shipping", "m-1")
	s.wantDuplicate("billing", "m-1")
	s.wantDuplicate("shipping", "m-1")
}

func inboxComparesByteForByte[Tx any](s *storeTest[Tx]) {
	long := strings.Repeat("x", 600)
	ids := []string{"a", "A", "a ", "ä", "a\u0308", "'", `\`, "%", long, long + "y", long + "Y", "\U0001F600"}
	for _, id := range ids {
		s.wantOnce("billing", id)
	}
	for _, id := range ids {
		s.wantDuplicate("billing", id)
	}
}

func inboxRunsWithoutAnIdentity[Tx any](s *storeTest[Tx]) {
	s.wantOnce("billing", "")
	s.wantOnce("billing", "")
	s.wantEffects(2)
}

func inboxSweepForgetsOldOnly[Tx any](s *storeTest[Tx]) {
	for _, id := range []string{"m-1", "m-2", "m-3"} {
		s.wantOnce("billing", id)
	}
	n, err := s.Store.SweepInbox(s.ctx, "billing", time.Hour, 100)
	s.must(err, "sweep")
	if n != 0 {
		s.Fatalf("swept %d identities that are less than an hour old", n)
	}
	s.wantDuplicate("billing", "m-1")
	total := 0
	eventually(s.T, "all identities are older than a millisecond and swept", func() bool {
		n, err := s.Store.SweepInbox(s.ctx, "billing", time.Millisecond, 2)
		s.must(err, "sweep")
		if n > 2 {
			s.Fatalf("swept %d identities at once, the limit was 2", n)
		}
		total += n
		return total == 3
	})
	s.wantOnce("billing", "m-1")
}

func inboxSweepLeavesOthersAlone[Tx any](s *storeTest[Tx]) {
	for _, consumer := range []string{"audit", "billing", "billing ", "Billing", "shipping"} {
		s.wantOnce(consumer, "m-1")
	}
	eventually(s.T, "the identity of billing is swept", func() bool {
		n, err := s.Store.SweepInbox(s.ctx, "billing", time.Millisecond, 100)
		s.must(err, "sweep")
		return n == 1
	})
	for _, consumer := range []string{"audit", "billing ", "Billing", "shipping"} {
		s.wantDuplicate(consumer, "m-1")
	}
	s.wantOnce("billing", "m-1")
}
