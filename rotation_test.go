package parley_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/parley-go/parley"
)

func TestCopiesLeftByACrashAreRemovedByTheNextVisit(t *testing.T) {
	for lost := range 6 {
		b := parkedBroker(t, 5)
		b.LoseConfirms(lost)
		if _, err := look(t.Context(), b); (err != nil) != (lost > 0) {
			t.Fatalf("with %d lost confirms: %v", lost, err)
		}
		if n, _, err := b.QueueLen(t.Context(), "q.parked"); err != nil || n != 5+lost {
			t.Fatalf("%d lost confirms have left %d messages (%v), want the copies too", lost, n, err)
		}
		seen, err := look(t.Context(), b)
		slices.Sort(seen)
		if err != nil || !slices.Equal(seen, []string{"0", "1", "2", "3", "4"}) {
			t.Errorf("after %d lost confirms a look shows %q (%v), want each message once", lost, seen, err)
		}
		if n, _, _ := b.QueueLen(t.Context(), "q.parked"); n != 5 {
			t.Errorf("after %d lost confirms and a visit %d messages are parked, want 5", lost, n)
		}
	}
}

func TestAVisitThatWasCutOffIsRepairedByTheNextOne(t *testing.T) {
	b := parkedBroker(t, 200)
	want, err := look(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	visits := 0
	err = parley.VisitParked(t.Context(), b, "q", nil, func(*parley.ParkedMessage) (parley.ParkedAction, error) {
		if visits++; visits == 100 {
			b.Disconnect() // the first batch has been moved
		}
		return parley.ParkedKeep, nil
	})
	if err == nil {
		t.Fatal("the visit was not cut off")
	}
	seen, err := look(t.Context(), b)
	if err != nil || slices.Equal(seen, want) {
		t.Fatalf("the cut has not changed the order (%v): the test shows nothing", err)
	}
	wantParked(t, b, "after one more look", want...)
	wantParked(t, b, "after another look", want...)
}

func TestACancelledVisitKeepsTheOrder(t *testing.T) {
	b := parkedBroker(t, 200)
	want, err := look(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	visits := 0
	err = parley.VisitParked(ctx, b, "q", nil, func(*parley.ParkedMessage) (parley.ParkedAction, error) {
		if visits++; visits == 100 {
			cancel()
		}
		return parley.ParkedDrop, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled look ends with %v", err)
	}
	wantParked(t, b, "after a cancelled look that dropped the first 100", want[100:]...)
}

// One goroutine drops some messages while others visit the queue, under faults of the broker.
func TestVisitsUnderFaultsLoseAndDuplicateNothing(t *testing.T) {
	for seed := range uint64(12) {
		b := parkedBroker(t, 80)
		var wg sync.WaitGroup
		for g := range uint64(3) {
			rnd := rand.New(rand.NewPCG(seed, g))
			wg.Go(func() {
				for range 10 {
					switch rnd.IntN(5) {
					case 0:
						b.LoseConfirms(rnd.IntN(60))
					case 1:
						b.RejectNext(rnd.IntN(3))
					case 2:
						b.Disconnect()
					}
					_ = parley.VisitParked(t.Context(), b, "q", nil, keep) // it may fail, but must lose no message
				}
			})
		}
		wg.Wait()
		b.LoseConfirms(0)
		b.RejectNext(0)
		var got []string
		for range 4 { // copies of concurrent visits have no common order: this takes more than one visit
			var err error
			if got, err = look(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		distinct := map[string]bool{}
		for _, id := range got {
			distinct[id] = true
		}
		if len(distinct) != 80 || len(got) != 80 {
			t.Errorf("seed %d: %d messages are parked, %d different ones, want 80", seed, len(got), len(distinct))
		}
	}
}
