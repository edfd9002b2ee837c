package parley

import "time"

// admit passes a job to the scheduler; a suspect waits until nothing else is in hand.
func (s *session) admit(j *job) {
	if !j.alone {
		s.scheduler.dispatch(j)
		return
	}
	// If the others take too long the suspect runs beside them: no message may block its queue.
	taken := false
	s.scheduler.runAlone(alonePatience, func() *job { taken = true; return j })
	if !taken {
		s.scheduler.dispatch(j)
	}
}

// alonePatience is how long a job that must run alone waits for the others to end.
const alonePatience = 30 * time.Second

// runAlone waits until nothing is in hand, runs one job with no other job beside it, and returns when it is finished, or waits
// for its next attempt, or is stuck: no message may block its queue. A job behind an earlier one of its key, whose handler is stuck or
// whose delay is long, runs after it, beside others.
// begin returns that job, or nil if there is no such job. runAlone returns false if the wait exceeded patience or live has ended.
func (s *scheduler) runAlone(patience time.Duration, begin func() *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	expired, until := false, time.Now().Add(patience)
	timer := time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		expired = true
		s.room.Broadcast()
	})
	defer timer.Stop()
	for s.live.Err() == nil && s.alone {
		s.room.Wait()
	}
	s.alone = true
	defer func() { s.alone, s.lone = false, nil; s.room.Broadcast() }()
	for s.live.Err() == nil && s.busy(until) > 0 && !expired {
		s.room.Wait()
	}
	if s.live.Err() != nil || s.busy(until) > 0 {
		return false
	}
	s.mu.Unlock()
	j := begin()
	s.mu.Lock()
	if j == nil {
		return true
	}
	s.add(j)
	if j.key == "" || s.keys[j.key].first == j {
		s.lone = j
	}
	for s.live.Err() == nil && s.lone == j {
		s.room.Wait()
	}
	return true
}

// busy returns how many jobs a job that must run alone waits for. It does not wait for stuck handlers, for jobs that are delayed beyond
// the time until, or for jobs behind one of these or behind a handler of an earlier session. mu is held.
func (s *scheduler) busy(until time.Time) int {
	n := s.inHand - len(s.stuck)
	for j := range s.delayed {
		if j.due.After(until) {
			n--
		}
	}
	for _, queue := range s.keys {
		if first := queue.first; first == nil || s.stuck[first] || s.delayed[first] != nil && first.due.After(until) {
			n -= len(queue.waiting)
		}
	}
	return n
}

// noteStuck notes that the handler of a job is stuck: a job that must run alone does not wait for it, and nothing waits for it if it ran alone.
func (s *scheduler) noteStuck(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck[j] = true
	s.endLone(j)
	s.room.Broadcast()
}

// noteReturned notes that the handler of a stuck job has returned.
func (s *scheduler) noteReturned(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stuck, j)
}

// endLone notes that nothing waits for a job any more, if it ran alone; mu is held.
func (s *scheduler) endLone(j *job) {
	if s.lone == j {
		s.lone = nil
	}
}
