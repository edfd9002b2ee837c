package command

import (
	"testing"

	"github.com/parley-go/parley/service"
)

func TestAServiceWithNothingToRunIsAnError(t *testing.T) {
	code, _, errs := callWith(t, func(*service.Service) error { return nil }, nil, "run", "--broker-url=memory:")
	if code != ExitUsage {
		t.Errorf("exit code %d, want %d", code, ExitUsage)
	}
	wantText(t, errs, "no handler is registered", "database.url: is missing")
}
