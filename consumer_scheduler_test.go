package parley

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A plannedStage runs a scheduler whose jobs follow a plan.
type plannedStage struct {
	*scheduler
	total atomic.Int64

	mu            sync.Mutex // guards the fields below
	order         []string   // bodies, in the order in which their steps began
	running, most int
}

// schedule runs play with a scheduler in a bubble, then stops the scheduler. step runs with no lock held.
func schedule(t *testing.T, limits schedulerLimits, step func(j *job) next, play func(s *plannedStage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		live, end := context.WithCancel(t.Context())
		s := &plannedStage{}
		limits.maxBytes = max(limits.maxBytes, 1)
		s.scheduler = newScheduler(live, limits, &s.total, func(j *job) next {
			s.mu.Lock()
			s.order = append(s.order, string(j.d.Body))
			s.running++
			s.most = max(s.most, s.running)
			s.mu.Unlock()
			defer func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.running--
			}()
			return step(j)
		})
		defer s.wakeOnEnd()()
		play(s)
		end()
		if !s.stop(time.Minute, t.Context(), func() {}) {
			t.Error("a worker has not ended")
		}
		s.forget()
		if n := s.total.Load(); n != 0 {
			t.Errorf("%d jobs are still counted after the stop", n)
		}
	})
}

func plannedJob(key, body string) *job {
	return &job{d: &Delivery{Message: Message{Body: []byte(body)}}, key: key}
}

// begun returns the bodies whose steps have begun.
func (s *plannedStage) begun() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.order, " ")
}

func second(*job) next { time.Sleep(time.Second); return next{} }

func TestAsManyJobsRunAtOnceAsThereAreWorkers(t *testing.T) {
	schedule(t, schedulerLimits{workers: 3, maxBytes: 100}, second, func(s *plannedStage) {
		for range 7 {
			s.dispatch(plannedJob("", "a"))
		}
		begin := time.Now()
		if !s.waitIdle() || !s.isIdle() {
			t.Error("not idle after all jobs ended")
		}
		if took := time.Since(begin); took != 3*time.Second || s.most != 3 {
			t.Errorf("7 jobs of a second took %v with %d at once, want 3s with 3", took, s.most)
		}
	})
}

func TestJobsOfOneKeyRunInOrderAndWaitForADelayedOne(t *testing.T) {
	tries := map[string]int{}
	var mu sync.Mutex
	failOnce := func(j *job) next {
		mu.Lock()
		defer mu.Unlock()
		if tries[string(j.d.Body)]++; string(j.d.Body) == "a1" && tries["a1"] == 1 {
			return next{again: true, after: time.Minute}
		}
		return next{}
	}
	schedule(t, schedulerLimits{workers: 4, maxBytes: 100, followers: 10}, failOnce, func(s *plannedStage) {
		s.dispatch(plannedJob("a", "a1"))
		synctest.Wait()
		s.dispatch(plannedJob("a", "a2"))
		s.dispatch(plannedJob("a", "a3"))
		s.dispatch(plannedJob("b", "b1"))
		if got := s.begun(); got != "a1 b1" {
			t.Errorf("before the delay has ended: %s, want a1 b1", got)
		}
		time.Sleep(time.Minute)
		if got := s.begun(); got != "a1 b1 a1 a2 a3" {
			t.Errorf("afterwards: %s, want a1 b1 a1 a2 a3", got)
		}
	})
}

func TestADelayOfAKeyIsShortenedWhileManyDeliveriesWaitBehindIt(t *testing.T) {
	first := true
	delayFirst := func(*job) next {
		defer func() { first = false }()
		return next{again: first, after: time.Hour}
	}
	schedule(t, schedulerLimits{workers: 1, maxBytes: 100, followers: 1}, delayFirst, func(s *plannedStage) {
		s.dispatch(plannedJob("a", "1"))
		synctest.Wait()
		s.dispatch(plannedJob("a", "2"))
		time.Sleep(2 * shortDelay)
		if got := s.begun(); got != "1" {
			t.Errorf("with one follower: %s, want the delay in full", got)
		}
		s.dispatch(plannedJob("a", "3"))
		time.Sleep(shortDelay)
		if got := s.begun(); got != "1 1 2 3" {
			t.Errorf("with two followers: %s, want 1 1 2 3 after %v", got, shortDelay)
		}
	})
}

func TestADispatchWaitsForTheByteBudgetButALargeBodyPassesAlone(t *testing.T) {
	schedule(t, schedulerLimits{workers: 4, maxBytes: 4}, second, func(s *plannedStage) {
		begin := time.Now()
		s.dispatch(plannedJob("", "larger than the budget"))
		if time.Since(begin) != 0 || s.bytesLeft() != 1 {
			t.Errorf("a large body waited for %v; %d bytes are left, want at least 1", time.Since(begin), s.bytesLeft())
		}
		s.dispatch(plannedJob("", "ab"))
		s.dispatch(plannedJob("", "cd"))
		if took := time.Since(begin); took != time.Second {
			t.Errorf("two that fit waited for %v, want for the large one: 1s", took)
		}
		s.dispatch(plannedJob("", "e"))
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("one that no longer fits waited until %v, want 2s", took)
		}
	})
}

func TestAJobThatRunsAloneWaitsForOthersAndHoldsThemUp(t *testing.T) {
	schedule(t, schedulerLimits{workers: 4, maxBytes: 100}, second, func(s *plannedStage) {
		s.dispatch(plannedJob("", "before"))
		var others sync.WaitGroup
		others.Go(func() {
			time.Sleep(time.Second / 2)
			s.dispatch(plannedJob("", "after"))
		})
		begin := time.Now()
		if !s.runAlone(time.Minute, func() *job { return plannedJob("", "alone") }) || time.Since(begin) != 2*time.Second {
			t.Errorf("ended after %v, want true after 2s", time.Since(begin))
		}
		others.Wait()
		if got := s.begun(); got != "before alone after" || s.most != 1 {
			t.Errorf("%s with %d at once, want before alone after, one at a time", got, s.most)
		}
		s.waitIdle()
		if !s.runAlone(time.Minute, func() *job { return nil }) {
			t.Error("without a job to run it returned false")
		}
	})
}

func TestAJobThatMustRunAloneGivesUpAfterItsPatience(t *testing.T) {
	schedule(t, schedulerLimits{workers: 1, maxBytes: 100}, second, func(s *plannedStage) {
		s.dispatch(plannedJob("", "busy"))
		begin := time.Now()
		began := false
		if s.runAlone(time.Second/2, func() *job { began = true; return nil }) || began || time.Since(begin) != time.Second/2 {
			t.Errorf("ended after %v, began %v, want false after 500ms", time.Since(begin), began)
		}
		s.dispatch(plannedJob("", "next"))
		s.waitIdle()
		if got := s.begun(); got != "busy next" {
			t.Errorf("%s, want busy next: later jobs are not held up", got)
		}
	})
}

func TestRowsAreTakenBeforeDeliveriesThatWait(t *testing.T) {
	schedule(t, schedulerLimits{workers: 1, maxBytes: 100}, second, func(s *plannedStage) {
		s.dispatch(plannedJob("", "1"))
		synctest.Wait() // it runs
		s.dispatch(plannedJob("", "2"))
		row := plannedJob("", "row")
		row.row = &rowClaim{}
		s.dispatch(row)
		s.waitIdle()
		if got := s.begun(); got != "1 row 2" {
			t.Errorf("%s, want 1 row 2", got)
		}
	})
}

func TestRowsFillIdleWorkersAndHalfOfBusyOnes(t *testing.T) {
	schedule(t, schedulerLimits{workers: 4, maxBytes: 10}, second, func(s *plannedStage) {
		want := func(n int, when string) {
			t.Helper()
			synctest.Wait()
			if got := s.roomForRows(); got != n {
				t.Errorf("%s: room for %d rows, want %d", when, got, n)
			}
		}
		want(4, "all workers are idle")
		s.dispatch(plannedJob("", "1"))
		want(3, "one worker is busy")
		for range 5 {
			s.dispatch(plannedJob("", "2"))
		}
		want(2, "deliveries keep all workers busy")
		row := plannedJob("", "r")
		row.row = &rowClaim{}
		s.dispatch(row)
		want(1, "a row waits")
		s.dispatch(plannedJob("", "345"))
		want(0, "the byte budget is used up")
	})
}

func TestAHandlerThatEndsItsGoroutineLosesNoWorker(t *testing.T) {
	exit := func(j *job) next {
		if string(j.d.Body) == "exit" && !j.exited {
			runtime.Goexit()
		}
		return next{}
	}
	schedule(t, schedulerLimits{workers: 1, maxBytes: 100}, exit, func(s *plannedStage) {
		s.dispatch(plannedJob("", "exit"))
		s.dispatch(plannedJob("", "next"))
		s.waitIdle()
		if got := s.begun(); strings.Count(got, "exit") != 2 || strings.Count(got, "next") != 1 {
			t.Errorf("steps %s, want two of exit and one of next", got)
		}
	})
}

func TestAStopEndsDelaysAndReportsAHandlerThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, end := context.WithCancel(t.Context())
		var total atomic.Int64
		release := make(chan struct{})
		s := newScheduler(live, schedulerLimits{workers: 2, maxBytes: 100}, &total, func(j *job) next {
			if string(j.d.Body) == "stuck" {
				<-release
			}
			return next{again: true, after: time.Hour}
		})
		defer s.wakeOnEnd()()
		s.dispatch(plannedJob("", "delayed"))
		s.dispatch(plannedJob("", "stuck"))
		synctest.Wait()
		end()
		cancelled := time.Duration(0)
		begin := time.Now()
		if s.stop(10*time.Second, t.Context(), func() { cancelled = time.Since(begin) }) {
			t.Error("the stop reports that all handlers have returned")
		}
		s.forget()
		if took := time.Since(begin); cancelled != 10*time.Second || took != 11*time.Second || total.Load() != 0 {
			t.Errorf("contexts ended after %v, the stop after %v with %d jobs counted; want 10s, 11s, 0", cancelled, took, total.Load())
		}
		close(release) // the handler returns late, and is not counted twice
		synctest.Wait()
		if total.Load() != 0 {
			t.Errorf("%d jobs are counted after the late return", total.Load())
		}
	})
}
