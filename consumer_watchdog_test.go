package parley

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// watched runs play in a bubble, with a session of one worker whose handlers are stuck after 3 s.
func watched(t *testing.T, maxStuck int, play func(s *session, reports *atomic.Int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var reports atomic.Int64
		c := &Consumer{}
		c.cfg.HandlerTimeout, c.cfg.StuckAfter, c.cfg.MaxStuck = 2*time.Second, time.Second, maxStuck
		c.cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
		c.cfg.Hooks.Stuck = func(*Delivery, time.Duration) { reports.Add(1) }
		live, end := context.WithCancel(t.Context())
		var total atomic.Int64
		s := &session{c: c}
		s.scheduler = newScheduler(live, schedulerLimits{workers: 1, maxBytes: 1}, &total, func(*job) next { return next{} })
		defer s.scheduler.wakeOnEnd()()
		play(s, &reports)
		end()
		if !s.scheduler.stop(time.Second, t.Context(), func() {}) {
			t.Error("a worker has not ended")
		}
	})
}

func TestAHandlerThatReturnsInTimeIsNotReported(t *testing.T) {
	watched(t, 5, func(s *session, reports *atomic.Int64) {
		j := &job{d: &Delivery{}, began: time.Now()}
		w := s.watchHandler(j)
		time.Sleep(3*time.Second - 1)
		w.stop()
		time.Sleep(time.Hour)
		if reports.Load() != 0 || j.replaced || s.c.stuck.Load() != 0 {
			t.Errorf("%d reports, replaced %v, %d stuck: want none", reports.Load(), j.replaced, s.c.stuck.Load())
		}
	})
}

func TestAStuckHandlerIsReplacedUntilTooManyAreStuck(t *testing.T) {
	watched(t, 2, func(s *session, reports *atomic.Int64) {
		first, second := &job{d: &Delivery{}, began: time.Now()}, &job{d: &Delivery{}, began: time.Now()}
		one := s.watchHandler(first)
		time.Sleep(time.Second)
		two := s.watchHandler(second)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if reports.Load() != 2 || s.c.stuck.Load() != 2 {
			t.Errorf("%d reports, %d stuck, want 2 and 2", reports.Load(), s.c.stuck.Load())
		}
		one.stop()
		two.stop()
		if !first.replaced || second.replaced {
			t.Errorf("replaced: %v and %v, want the first only: MaxStuck is 2", first.replaced, second.replaced)
		}
		if n, m := s.c.stuck.Load(), len(s.scheduler.stuck); n != 0 || m != 0 {
			t.Errorf("%d and %d are stuck after both have returned", n, m)
		}
	})
}
