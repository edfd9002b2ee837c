package parley

import (
	"testing"
	"time"
)

// A suspect on an ordered route without a failure store waits in the process for its retries; nothing else runs.
func TestAJobThatRanAloneAndWaitsForItsRetryStopsNothing(t *testing.T) {
	step := func(j *job) next {
		if string(j.d.Body) == "suspect" && j.tries == 0 {
			j.tries++
			return next{again: true, after: 10 * time.Minute} // actWait, the third delay of DefaultRetry
		}
		return next{}
	}
	schedule(t, schedulerLimits{workers: 4, maxBytes: 1 << 20, followers: 10}, step, func(s *plannedStage) {
		go s.runAlone(time.Second, func() *job { return &job{d: &Delivery{Message: Message{Body: []byte("suspect")}}, key: "k"} })
		time.Sleep(time.Second)
		start := time.Now()
		s.dispatch(&job{d: &Delivery{Message: Message{Body: []byte("other")}}})
		if d := time.Since(start); d > time.Minute {
			t.Errorf("another message waited %v for the retry delay of a suspect", d)
		}
	})
}
