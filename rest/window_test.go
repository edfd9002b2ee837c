package rest

import (
	"testing"
	"time"
)

func TestAWindowCountsTheRecentPeriodOnly(t *testing.T) {
	w := newWindow(10 * time.Second)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for second := range 10 {
		w.add(start.Add(time.Duration(second)*time.Second), second%2 == 0)
	}
	for _, c := range []struct {
		after         time.Duration
		total, failed int
	}{{9 * time.Second, 10, 5}, {10 * time.Second, 9, 4}, {15 * time.Second, 4, 2}, {time.Hour, 0, 0}} {
		total, failed := w.counts(start.Add(c.after))
		if total != c.total || failed != c.failed {
			t.Errorf("after %v: %d with %d failed, want %d with %d", c.after, total, failed, c.total, c.failed)
		}
	}
}

func TestAClearedWindowAndOneWithoutALengthCountFromZero(t *testing.T) {
	now := time.Now()
	w := newWindow(0)
	w.add(now, true)
	w.clear()
	w.add(now, false)
	if total, failed := w.counts(now); total != 1 || failed != 0 {
		t.Errorf("%d with %d failed, want the one success after the clearing", total, failed)
	}
}

func TestAClockThatIsSetBackKeepsTheCounts(t *testing.T) {
	now := time.Now()
	w := newWindow(time.Minute)
	w.add(now, true)
	w.add(now.Add(-time.Hour), true)
	if total, _ := w.counts(now); total != 2 {
		t.Errorf("%d outcomes, want 2", total)
	}
}
