package service

import (
	"errors"
	"fmt"
	"testing"
)

func TestEachReasonForAReadOnlyDatabaseIsErrReadOnly(t *testing.T) {
	for _, err := range []error{errStandby, errDefaultToRead, fmt.Errorf("ping: %w", errStandby)} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%v is not ErrReadOnly", err)
		}
	}
	if errors.Is(errors.New("connection refused"), ErrReadOnly) || errors.Is(errStandby, errDefaultToRead) {
		t.Error("another error matches")
	}
}

func TestAServerVariableIsReadAsANumberOrAWord(t *testing.T) {
	for value, want := range map[string]bool{"0": false, "OFF": false, "1": true, "ON": true, "NO_LOCK_NO_ADMIN": true} {
		if isOn(value) != want {
			t.Errorf("%q is on: %v, want %v", value, !want, want)
		}
	}
}
