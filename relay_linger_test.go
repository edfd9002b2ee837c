package parley

import (
	"testing"
	"testing/synctest"
	"time"
)

// lookingFor finds records of a publisher that commits one every pace for d, as a relay does that never sleeps longer than linger
// says, and returns the share of the commits that had to wake it, and the mean time from a commit to its look.
func lookingFor(pace, d time.Duration) (woken float64, delay time.Duration) {
	var s sleepiness
	start := time.Now()
	commits, found, late := 0, 0, time.Duration(0)
	wakes := 0
	for time.Since(start) < d {
		time.Sleep(300 * time.Microsecond) // a look
		now := time.Since(start)
		commits = int(now / pace)
		if n := commits - found; n > 0 {
			for i := found + 1; i <= commits; i++ {
				late += now - time.Duration(i)*pace
			}
			found = commits
			s.find(n)
			time.Sleep(time.Millisecond) // the broker
		}
		if wait, ok := s.linger(); ok {
			time.Sleep(wait)
		} else if next := start.Add(time.Duration(found+1) * pace); time.Until(next) > 0 {
			time.Sleep(time.Until(next))
			wakes++
		}
	}
	return float64(wakes) / float64(commits), late / time.Duration(found)
}

func TestARelayStaysAwakeWhileRecordsComeFastAndSleepsBetweenRareOnes(t *testing.T) {
	for _, c := range []struct {
		pace  time.Duration
		woken bool
		late  time.Duration
	}{
		{100 * time.Microsecond, false, 5 * time.Millisecond},
		{time.Millisecond, false, 1500 * time.Microsecond},
		{10 * time.Millisecond, true, 400 * time.Microsecond},
		{time.Second, true, 400 * time.Microsecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			woken, late := lookingFor(c.pace, 10*time.Second+100*c.pace)
			if c.woken != (woken > 0.9) || c.woken == (woken < 0.1) {
				t.Errorf("of records that come every %s, %.0f %% woke the relay", c.pace, 100*woken)
			}
			if late > c.late {
				t.Errorf("records that come every %s are found after %s, want at most %s", c.pace, late, c.late)
			}
		})
	}
}
