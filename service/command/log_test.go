package command

import (
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestEditsAreLoggedWithBothBodies(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "mail", kept{state: parley.FailureParked, body: `{"a": 1}`})
	file := servicetest.WriteFile(t, "body.json", `{"a": 2}`)
	mustCall(t, ExitOK, "parked", "edit", ids[0], "--file", file, "--raw", "--yes", flag)
	wantText(t, mustCall(t, ExitOK, "log", "--id", "1", flag), "edit", `before: {"a": 1}`, `after:  {"a":2}`)
	wantText(t, mustCall(t, ExitFailed, "log", "--id", "9", flag), "no action 9")
}
