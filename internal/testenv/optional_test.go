package testenv_test

import (
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

func TestAFullRunSkipsTestsOfOptionalVariablesOnly(t *testing.T) {
	t.Setenv(testenv.LedgerVariable, "") // these skips are not real
	for _, all := range []string{"", "1"} {
		t.Setenv(testenv.AllVariable, all)
		for variable, reason := range testenv.Optional() {
			ended, message := outcome(t, func(tb testing.TB) { testenv.SkipOptional(tb, variable, "x") })
			if ended != "skip" || !strings.Contains(message, reason) || !strings.Contains(message, "set "+variable+"=x") {
				t.Errorf("%s: %q, %q, want a skip with the reason and the variable", variable, ended, message)
			}
		}
		ended, message := outcome(t, func(tb testing.TB) { testenv.SkipOptional(tb, "PARLEY_TEST_X", "x") })
		if ended != "fatal" || !strings.Contains(message, "optional.go") {
			t.Errorf("another variable: %q, %q, want a failure that names the table", ended, message)
		}
	}
}
