package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestFailuresRefuseWrongUse(t *testing.T) {
	f := memory.NewStore().Failures()
	keep(t, f, failedNow("", 0))
	for _, o := range []parley.FailureClaimOptions{{KeyRun: 1, Lease: 1}, {Limit: 1, Lease: 1}, {Limit: 1, KeyRun: 1}} {
		if _, err := f.Claim(t.Context(), "q", o); err == nil {
			t.Errorf("a claim with %+v reports success", o)
		}
	}
	for _, state := range []parley.FailureState{"", parley.FailureBehind, parley.FailureRunning, "odd"} {
		if _, err := f.Keep(t.Context(), "q", []parley.Failure{{State: state}}); err == nil {
			t.Errorf("a failure with the state %q was kept", state)
		}
	}
	c := claimDue(t, f)[0].FailureClaim
	if err := f.Settle(t.Context(), c, parley.FailureOutcome{Action: 99}); err == nil {
		t.Error("an unknown action reports success")
	}
	if n, err := f.Move(t.Context(), "q", "q"); n != 0 || err != nil {
		t.Errorf("a move to the same consumer: %d, %v", n, err)
	}
}

func TestFailuresHeedAnEndedContext(t *testing.T) {
	f := memory.NewStore().Failures()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"check":   func() error { return f.Check(ctx) },
		"keep":    func() error { _, err := f.Keep(ctx, "q", nil); return err },
		"claim":   func() error { _, err := f.Claim(ctx, "q", parley.FailureClaimOptions{}); return err },
		"renew":   func() error { _, err := f.Renew(ctx, nil, time.Minute); return err },
		"settle":  func() error { return f.Settle(ctx, parley.FailureClaim{}, parley.FailureOutcome{}) },
		"keys":    func() error { _, err := f.KeysWithRows(ctx, "q", nil); return err },
		"due":     func() error { _, _, err := f.NextDue(ctx, "q"); return err },
		"sweep":   func() error { _, err := f.Sweep(ctx, "q", 0, 1); return err },
		"promote": func() error { return f.Promote(ctx, "q", "k") },
		"list":    func() error { _, err := f.List(ctx, parley.FailureQuery{}, 0, 1); return err },
		"get":     func() error { _, err := f.Get(ctx, 1); return err },
		"replay":  func() error { _, err := f.Replay(ctx, parley.FailureQuery{}, 0); return err },
		"edit":    func() error { return f.Edit(ctx, 1, nil) },
		"drop":    func() error { _, _, err := f.Drop(ctx, parley.FailureQuery{}); return err },
		"move":    func() error { _, err := f.Move(ctx, "q", "r"); return err },
		"stats":   func() error { _, err := f.Stats(ctx, ""); return err },
		"names":   func() error { _, err := f.Consumers(ctx); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want its error", name, err)
		}
	}
}
