package postgres_test

import (
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestSettlingARowPromotesTheNextOfItsKey(t *testing.T) {
	park := parley.FailureOutcome{Action: parley.FailurePark}
	hold := parley.FailureOutcome{Action: parley.FailurePark, Holds: true}
	for name, c := range map[string]struct {
		outcome parley.FailureOutcome
		next    string
	}{
		"done": {parley.FailureOutcome{}, "b"}, "parked": {park, "b"}, "held": {hold, ""},
		"retried": {parley.FailureOutcome{Action: parley.FailureRetry, After: time.Hour}, ""},
		"given":   {parley.FailureOutcome{Action: parley.FailureRelease}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			eachDriver(t, nil, func(t *testing.T, f failureCase) {
				f.keep(t, keyed("k", "a"), keyed("k", "b"))
				f.settle(t, f.claim(t, parley.FailureClaimOptions{})[0].FailureClaim, c.outcome)
				if got := bodies(f.claim(t, parley.FailureClaimOptions{Limit: 9})); got != c.next {
					t.Errorf("claimed %q afterwards, want %q; the table has %s", got, c.next, f.states(t))
				}
			})
		})
	}
}
