package parley

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestTypedErrorsMatchTheirSentinel(t *testing.T) {
	for _, c := range []struct{ err, sentinel error }{
		{&InvalidError{What: "tags"}, ErrInvalid},
		{&UnroutableError{}, ErrUnroutable},
		{&RefusedError{}, ErrRefused},
	} {
		for _, sentinel := range []error{ErrInvalid, ErrUnroutable, ErrRefused, ErrRejected} {
			if got := errors.Is(c.err, sentinel); got != (sentinel == c.sentinel) {
				t.Errorf("errors.Is(%T, %v) is %v", c.err, sentinel, got)
			}
		}
	}
}

func TestAnInvalidErrorNamesTheInputTheProblemAndTheCause(t *testing.T) {
	err := &InvalidError{What: "exchange", Value: strings.Repeat("x", 100), Problem: "too long", Err: io.ErrUnexpectedEOF}
	if want := `exchange "` + strings.Repeat("x", 80) + `…": too long: unexpected EOF`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is not found")
	}
	if got := (&InvalidError{What: "payload", Problem: "no object"}).Error(); got != "payload: no object" {
		t.Errorf("without a value: %q", got)
	}
}

func TestErrorsOfTheBrokerShowTheAddress(t *testing.T) {
	for want, err := range map[string]error{
		`exchange "user" for routing key "renamed"`:            &UnroutableError{Exchange: "user", RoutingKey: "renamed"},
		`refused: exchange "user", routing key "k": too large`: &RefusedError{Exchange: "user", RoutingKey: "k", Reason: "too large"},
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestNumbersInTextsHaveTheRightForm(t *testing.T) {
	for n, want := range map[int]string{0: "0 handlers", 1: "1 handler", 2: "2 handlers"} {
		if got := plural(n, "handler", "handlers"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
