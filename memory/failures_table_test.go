package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley/memory"
)

func TestFailuresFollowVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := memory.NewStore().Failures()
		keep(t, f, failedNow("", time.Hour))
		if wait, ok, err := f.NextDue(t.Context(), "q"); wait != time.Hour || !ok || err != nil {
			t.Errorf("next due in %v, %t, %v, want 1h", wait, ok, err)
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if n := len(claimDue(t, f)); n != 0 {
			t.Errorf("a nanosecond early %d rows are due", n)
		}
		time.Sleep(time.Nanosecond)
		if n := len(claimDue(t, f)); n != 1 {
			t.Errorf("after an hour %d rows are due, want 1", n)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if n := len(claimDue(t, f)); n != 0 {
			t.Errorf("a nanosecond before the end of the lease %d rows are due", n)
		}
		time.Sleep(time.Nanosecond)
		if n := len(claimDue(t, f)); n != 1 {
			t.Errorf("at the end of the lease %d rows are due, want 1", n)
		}
	})
}
