package parley

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestAReturnedErrorKeepsItsCauseAndSaysWhatBecomesOfTheMessage(t *testing.T) {
	for want, of := range map[string]func(error) error{
		"parked by its handler":     Park,
		"ignored by its handler":    Ignore,
		"to be retried after 1m30s": func(err error) error { return RetryAfter(90*time.Second, err) },
	} {
		if got := of(nil).Error(); got != want {
			t.Errorf("without a cause: %q, want %q", got, want)
		}
		if err := of(io.EOF); !errors.Is(err, io.EOF) || err.Error() != io.EOF.Error() {
			t.Errorf("with a cause: %v", err)
		}
	}
}

func TestOnlyAnErrorOfIgnoreIsIgnored(t *testing.T) {
	for _, err := range []error{Ignore(nil), Ignore(ErrDuplicate), fmt.Errorf("outer: %w", Ignore(ErrExpired)), errors.Join(io.EOF, Ignore(io.EOF))} {
		if !Ignored(err) {
			t.Errorf("%v is not ignored", err)
		}
	}
	for _, err := range []error{nil, io.EOF, ErrDuplicate, ErrExpired, Park(Ignore(io.EOF)), RetryAfter(time.Second, nil)} {
		if Ignored(err) {
			t.Errorf("%v is ignored", err)
		}
	}
}

func TestAPanicOfAHandlerIsAnErrorWithItsStack(t *testing.T) {
	err := protect(t.Context(), HandlerFunc(func(context.Context, *Delivery) error { panic("poison") }), &Delivery{})
	if p, ok := errors.AsType[*PanicError](err); !ok || p.Value != "poison" || len(p.Stack) == 0 || p.Error() != "handler panicked: poison" {
		t.Errorf("got %v", err)
	}
	if err := protect(t.Context(), HandlerFunc(func(context.Context, *Delivery) error { return io.EOF }), &Delivery{}); err != io.EOF {
		t.Errorf("an ordinary error became %v", err)
	}
}
