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

// Handlers that never return, and the messages of their keys behind them, stay in hand.
func TestAJobThatMustRunAloneBehindAStuckJobOfItsKeyWaitsForItsTurn(t *testing.T) {
	var release chan struct{}
	step := func(j *job) next {
		if string(j.d.Body) == "stuck" {
			<-release
		}
		return next{}
	}
	schedule(t, schedulerLimits{workers: 4, maxBytes: 1 << 20, followers: 10}, step, func(s *plannedStage) {
		release = make(chan struct{})
		stuck := plannedJob("k", "stuck")
		s.dispatch(stuck)
		s.begun()
		s.noteStuck(stuck)
		start := time.Now()
		s.runAlone(time.Minute, func() *job { return plannedJob("k", "suspect") })
		s.dispatch(plannedJob("", "other"))
		s.runAlone(time.Minute, func() *job { return plannedJob("l", "another suspect") })
		if got := s.begun(); got != "stuck other another suspect" || time.Since(start) != 0 {
			t.Errorf("%s after %v, want the other message and the other suspect at once", got, time.Since(start))
		}
		s.noteReturned(stuck)
		close(release)
		s.waitIdle()
		if got := s.begun(); got != "stuck other another suspect suspect" {
			t.Errorf("%s, want the suspect when the handler of its key has returned", got)
		}
	})
}

func TestAJobThatRanAloneIsNotKeptByAHandlerThatReturnsMeanwhile(t *testing.T) {
	var release chan struct{}
	step := func(j *job) next {
		switch {
		case string(j.d.Body) == "stuck" && j.tries == 0:
			j.tries++
			<-release
			return next{again: true, after: 10 * time.Minute}
		case string(j.d.Body) == "alone":
			time.Sleep(2 * time.Second)
		}
		return next{}
	}
	schedule(t, schedulerLimits{workers: 4, maxBytes: 1 << 20, followers: 10}, step, func(s *plannedStage) {
		release = make(chan struct{})
		stuck := plannedJob("k", "stuck")
		s.dispatch(stuck)
		s.begun()
		s.noteStuck(stuck)
		time.AfterFunc(time.Second, func() { s.noteReturned(stuck); close(release) })
		start := time.Now()
		s.runAlone(time.Minute, func() *job { return plannedJob("", "alone") })
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("the job that ran alone was waited for %v, want 2s", d)
		}
	})
}

func TestASuspectDoesNotWaitForJobsWithALongDelay(t *testing.T) {
	step := func(j *job) next {
		if string(j.d.Body) == "delayed" && j.tries == 0 {
			j.tries++
			return next{again: true, after: 10 * time.Minute}
		}
		return next{}
	}
	schedule(t, schedulerLimits{workers: 4, maxBytes: 1 << 20, followers: 10}, step, func(s *plannedStage) {
		s.dispatch(plannedJob("k", "delayed"))
		s.dispatch(plannedJob("k", "behind it"))
		s.begun()
		start := time.Now()
		if !s.runAlone(time.Minute, func() *job { return plannedJob("l", "suspect") }) || time.Since(start) != 0 {
			t.Errorf("the suspect waited for %v, want that it runs at once", time.Since(start))
		}
	})
}
