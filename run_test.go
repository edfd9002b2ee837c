package parley

import (
	"context"
	"errors"
	"testing"
)

func TestTheEndOfOneRunnerStopsTheOthersAndErrorsAreJoined(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	waits := RunnerFunc(func(ctx context.Context) error { <-ctx.Done(); return second })
	err := Run(t.Context(), waits, RunnerFunc(func(context.Context) error { return first }))
	if !errors.Is(err, first) || !errors.Is(err, second) {
		t.Errorf("got %v, want both errors", err)
	}
}

func TestRunReturnsNilAfterACleanStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	go func() { <-ready; cancel() }()
	err := Run(ctx, RunnerFunc(func(ctx context.Context) error { close(ready); <-ctx.Done(); return nil }))
	if err != nil {
		t.Error(err)
	}
}
