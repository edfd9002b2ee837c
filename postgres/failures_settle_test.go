package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestTheRestOfAReleasedRunStaysBehind(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		f.keep(t, keyed("k", "a"), keyed("k", "b"), keyed("k", "c"))
		run := f.claim(t, parley.FailureClaimOptions{KeyRun: 9})
		f.settle(t, run[0].FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, After: time.Hour})
		f.settle(t, run[2].FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease})
		f.settle(t, run[1].FailureClaim, parley.FailureOutcome{Action: parley.FailureRelease})
		if got, want := f.states(t), "1 waiting, 2 behind, 3 behind"; got != want {
			t.Errorf("the table has %s, want %s", got, want)
		}
	})
}

func TestAClaimThatIsLostChangesNothing(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		f.keep(t, failed("a"))
		old := f.claim(t, parley.FailureClaimOptions{Lease: time.Millisecond})[0].FailureClaim
		var current []parley.ClaimedFailure
		for len(current) == 0 {
			current = f.claim(t, parley.FailureClaimOptions{})
		}
		for _, action := range []parley.FailureAction{parley.FailureDone, parley.FailureRetry, parley.FailurePark, parley.FailureRelease} {
			if err := f.Settle(t.Context(), old, parley.FailureOutcome{Action: action}); !errors.Is(err, parley.ErrClaimLost) {
				t.Errorf("action %d of a lost claim: %v, want %v", action, err, parley.ErrClaimLost)
			}
		}
		if err := f.doneIn(t.Context(), old, func() error { return nil }); !errors.Is(err, parley.ErrClaimLost) {
			t.Errorf("DoneIn of a lost claim: %v, want %v", err, parley.ErrClaimLost)
		}
		lost, err := f.Renew(t.Context(), []parley.FailureClaim{current[0].FailureClaim, old}, time.Minute)
		if err != nil || !slices.Equal(lost, []parley.FailureClaim{old}) {
			t.Errorf("Renew reports %v as lost (%v), want %v", lost, err, old)
		}
		f.settle(t, current[0].FailureClaim, parley.FailureOutcome{})
		f.settle(t, current[0].FailureClaim, parley.FailureOutcome{}) // a finished row stays finished
		if got := f.states(t); got != "" {
			t.Errorf("the table has %s, want nothing", got)
		}
	})
}
