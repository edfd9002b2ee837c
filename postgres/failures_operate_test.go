package postgres_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
)

// An operator's command can read a row without waiting for its handler.
func TestOperatorsDoNotWaitForAHandlersTransaction(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		f.keep(t, failed("x"), failed("y"))
		c := f.claim(t, parley.FailureClaimOptions{})[0].FailureClaim
		failing := errors.New("handler fails")
		err := f.doneIn(t.Context(), c, func() error {
			if err := f.Edit(t.Context(), c.ID, nil); !errors.Is(err, parley.ErrRunning) {
				t.Errorf("edit: %v, want ErrRunning", err)
			}
			if dropped, running, err := f.Drop(t.Context(), parley.FailureQuery{}); dropped != 1 || running != 1 || err != nil {
				t.Errorf("dropped %d, left %d running (%v), want 1 and 1", dropped, running, err)
			}
			return failing
		})
		if !errors.Is(err, failing) || errors.Is(err, parley.ErrClaimLost) {
			t.Error(err)
		}
	})
}
