package sqlstore

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

func TestOnlyWaitingAndParkedFailuresThatFitAreKept(t *testing.T) {
	small := errors.New("larger than a statement")
	f := &Failures[Tx]{d: FailureDialect{Fits: func(parameters ...[]byte) error {
		if len(parameters) != 2 || len(parameters[1]) > 10 {
			return small
		}
		return nil
	}}}
	failure := func(state parley.FailureState, body string) parley.Failure {
		return parley.Failure{State: state, Message: parley.Message{Exchange: "user", Body: []byte(body)}}
	}
	envelopes, err := f.encode([]parley.Failure{failure(parley.FailureWaiting, "{}"), failure(parley.FailureParked, "{}")})
	if err != nil || len(envelopes) != 2 {
		t.Errorf("%d envelopes (%v), want 2", len(envelopes), err)
	}
	if _, err := f.encode([]parley.Failure{failure(parley.FailureRunning, "{}")}); err == nil || !strings.Contains(err.Error(), "want waiting or parked") {
		t.Errorf("a running failure: %v", err)
	}
	if _, err := f.encode([]parley.Failure{failure(parley.FailureWaiting, "more than ten bytes")}); !errors.Is(err, small) {
		t.Errorf("a large body: %v, want the error of the database", err)
	}
	f.d.Fits = nil
	if _, err := f.encode([]parley.Failure{failure(parley.FailureWaiting, "more than ten bytes")}); err != nil {
		t.Errorf("a database without a limit: %v", err)
	}
}
