package parley

import (
	"sync"
	"time"
)

// A watchdog monitors one handler that may ignore its context. Go cannot end such a handler: the watchdog reports it
// and starts another worker in its place, until MaxStuck is reached.
type watchdog struct {
	s     *session
	j     *job
	timer *time.Timer

	mu       sync.Mutex // guards the fields below
	reported bool
	returned bool
	replaced bool
}

// watchHandler starts a watchdog for the attempt that begins now.
func (s *session) watchHandler(j *job) *watchdog {
	w := &watchdog{s: s, j: j}
	w.mu.Lock() // the timer may end before w.timer is set
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(s.c.cfg.HandlerTimeout+s.c.cfg.StuckAfter, w.report)
	return w
}

func (w *watchdog) report() {
	c := w.s.c
	w.mu.Lock()
	if w.returned {
		w.mu.Unlock()
		return
	}
	w.reported = true
	w.s.scheduler.noteStuck(w.j)
	if int(c.stuck.Add(1)) < c.cfg.MaxStuck {
		w.replaced = true
		w.s.scheduler.addWorker() // the stuck worker is still counted, so no Wait has returned
	}
	d, running := w.j.d, time.Since(w.j.began)
	w.mu.Unlock()
	c.cfg.Logger.Error("consumer: handler stuck, still running after its context ended", append(c.attrs(d, nil),
		"running", running.Round(time.Millisecond).String(), "stack", handlerStack(w.j))...)
	if c.cfg.Hooks.Stuck != nil {
		c.cfg.Hooks.Stuck(d, running)
	}
}

// stop ends the watch when the handler has returned, and undoes a report. The job learns whether its worker was replaced.
func (w *watchdog) stop() {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned = true
	w.j.replaced = w.replaced
	if w.reported {
		w.s.scheduler.noteReturned(w.j)
		w.s.c.stuck.Add(-1)
	}
}
