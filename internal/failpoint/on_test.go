//go:build faults

package failpoint

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAPlaceStrikesAtItsPassOnly(t *testing.T) {
	faults = mustParse("here:2:error;there:*:sleep=1ms")
	for pass, want := range []error{nil, ErrInjected, nil} {
		if err := Hit("here"); !errors.Is(err, want) {
			t.Errorf("pass %d returned %v, want %v", pass+1, err, want)
		}
	}
	begin := time.Now()
	if err := Hit("there"); err != nil || time.Since(begin) < time.Millisecond {
		t.Errorf("a place that sleeps returned %v after %v", err, time.Since(begin))
	}
	if err := Hit("elsewhere"); err != nil {
		t.Errorf("a place without a fault returned %v", err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"here":           `"here" is not`,
		":1:kill":        "is not",
		"here:0:kill":    `pass "0"`,
		"here:x:kill":    `pass "x"`,
		"here:1:explode": `action "explode"`,
		"here:1:sleep=x": "invalid duration",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}
