package parley

import (
	"context"
	"slices"
	"sync"
)

// lateHandlers are the handlers of ended sessions that have not returned: Go cannot end a handler that ignores its context. The broker
// delivers their messages again, so the sessions after them hold the ordering keys of these handlers until they return. Other keys
// continue.
type lateHandlers struct {
	ends sync.WaitGroup // of sessions that renew claims for such handlers; used by Run only

	mu      sync.Mutex // guards the fields below
	keys    map[string]bool
	current *scheduler   // of the last session
	ended   []*scheduler // of sessions that have ended before their handlers
}

// The states of a job's handler. Only deliveries of ordering keys from the broker have one.
const (
	handlerIdle int32 = iota
	handlerRuns
	handlerLate // its session has ended
)

// begin makes s the scheduler of the current session, which holds the keys of late handlers.
func (l *lateHandlers) begin(s *scheduler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = s
	for key := range l.keys {
		s.hold(key)
	}
}

// add notes that the session of s ends before its handlers. A row needs no held key: its claim is renewed until its handler has returned.
func (l *lateHandlers) add(s *scheduler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune()
	l.ended = append(l.ended, s)
	if l.keys == nil {
		l.keys = map[string]bool{}
	}
	for _, j := range s.firsts() {
		if j.handler.CompareAndSwap(handlerRuns, handlerLate) {
			l.keys[j.key] = true
		}
	}
}

// returned notes that the late handler of a key has returned.
func (l *lateHandlers) returned(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
	if l.current != nil {
		l.current.release(key)
	}
}

// count returns how many handlers of ended sessions have not returned.
func (l *lateHandlers) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune()
	for _, s := range l.ended {
		n += s.stepsRunning()
	}
	return n
}

// prune forgets the sessions whose handlers have all returned; mu is held.
func (l *lateHandlers) prune() {
	l.ended = slices.DeleteFunc(l.ended, func(s *scheduler) bool { return s.stepsRunning() == 0 })
}

// beginHandler notes that the handler of a job runs.
func (c *Consumer) beginHandler(j *job) {
	if j.key != "" && j.row == nil {
		j.handler.Store(handlerRuns)
	}
}

// endHandler notes that the handler of a job has returned.
func (c *Consumer) endHandler(j *job) {
	if j.key != "" && j.row == nil && !j.handler.CompareAndSwap(handlerRuns, handlerIdle) {
		c.late.returned(j.key)
	}
}

// stopRowsLate calls stopRows when the session's handlers have returned, at the latest when ctx ends. Until then their claims are renewed,
// so that their rows are not handled by the sessions after this one.
func (s *session) stopRowsLate(ctx context.Context, stopRows func()) {
	s.c.late.ends.Go(func() {
		select {
		case <-s.scheduler.done:
		case <-ctx.Done():
		}
		stopRows()
	})
}

// hold lets the jobs of a key wait until release is called. No job of the key is in hand.
func (s *scheduler) hold(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[key] = &keyQueue{}
}

// release ends a hold.
func (s *scheduler) release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if queue := s.keys[key]; queue != nil && queue.first == nil {
		s.advance(key)
	}
}

// holds reports whether a key is held.
func (s *scheduler) holds(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.keys[key]
	return queue != nil && queue.first == nil
}

// heldBehind returns how many jobs wait for held keys; mu is held.
func (s *scheduler) heldBehind() (n int) {
	for _, queue := range s.keys {
		if queue.first == nil {
			n += len(queue.waiting)
		}
	}
	return n
}

// firsts returns the first job in hand of each key.
func (s *scheduler) firsts() (jobs []*job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, queue := range s.keys {
		if queue.first != nil {
			jobs = append(jobs, queue.first)
		}
	}
	return jobs
}

func (s *scheduler) stepsRunning() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// waitUnlessStuck blocks until no step is running, except those of stuck handlers. It ends at the latest when forget is called.
func (s *scheduler) waitUnlessStuck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running > len(s.stuck) && !s.over {
		s.room.Wait()
	}
}
