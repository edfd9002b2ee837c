package testenv

import (
	"testing"
	"time"
)

func TestATimeWithinTheBoundIsNeverLate(t *testing.T) {
	if Late(t, time.Second, time.Second) || Late(t, 0, time.Nanosecond) {
		t.Error("a time within the bound is late")
	}
}

func TestABoundGrowsOnASlowMachineUpToALimit(t *testing.T) {
	for _, c := range []struct {
		measured, took time.Duration
		late           bool
	}{
		{quiet, 11 * time.Second, true},
		{quiet / 2, 11 * time.Second, true}, // a faster machine does not shorten it
		{3 * quiet, 29 * time.Second, false},
		{3 * quiet, 31 * time.Second, true},
		{1000 * quiet, 399 * time.Second, false},
		{1000 * quiet, 401 * time.Second, true},
	} {
		if got := exceeds(c.took, 10*time.Second, slowness(c.measured)); got != c.late {
			t.Errorf("%v with a bound of 10s is late: %v, want %v, when the work takes %v", c.took, got, c.late, c.measured)
		}
	}
}

func TestNoMachineMakesAnHourALittleLate(t *testing.T) {
	if !Late(t, time.Hour, time.Second) {
		t.Error("an hour in place of a second is not late")
	}
}
