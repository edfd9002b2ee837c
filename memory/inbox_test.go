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

func TestASecondDeliveryWaitsForTheTransactionOfTheFirst(t *testing.T) {
	for name, c := range map[string]struct {
		first error
		want  error
	}{
		"it commits":    {nil, parley.ErrDuplicate},
		"it rolls back": {errors.New("no"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory.NewStore()
				handled := make(chan error, 1)
				go func() {
					handled <- s.Once(t.Context(), "c", "id", func(context.Context, *memory.Tx) error {
						time.Sleep(time.Second)
						return c.first
					})
				}()
				synctest.Wait()
				start := time.Now()
				err := s.Once(t.Context(), "c", "id", func(context.Context, *memory.Tx) error { return nil })
				if !errors.Is(err, c.want) || time.Since(start) != time.Second {
					t.Errorf("got %v after %v, want %v after 1s", err, time.Since(start), c.want)
				}
				if err := <-handled; !errors.Is(err, c.first) {
					t.Errorf("the first delivery: %v, want %v", err, c.first)
				}
			})
		})
	}
}

func TestASweepDeletesOldIdentitiesOnlyAndAtMostItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.NewStore()
		handle := func(id string) error {
			return s.Once(t.Context(), "c", id, func(context.Context, *memory.Tx) error { return nil })
		}
		for _, id := range []string{"a", "b", "c"} {
			if err := handle(id); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if err := handle("new"); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{2, 1, 0} {
			if n, err := s.SweepInbox(t.Context(), "c", time.Minute, 2); n != want || err != nil {
				t.Errorf("swept %d (%v), want %d", n, err, want)
			}
		}
		if err := handle("new"); !errors.Is(err, parley.ErrDuplicate) {
			t.Errorf("the new identity: %v, want ErrDuplicate", err)
		}
		if err := handle("a"); err != nil {
			t.Errorf("an identity that was swept: %v", err)
		}
	})
}
