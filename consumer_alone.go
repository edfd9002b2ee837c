package parley

import "time"

// runAlone waits until nothing is in hand, runs one job with no other job beside it, and returns when it is finished, or waits
// for its next attempt, or is stuck: no message may block its queue.
// begin returns that job, or nil if there is no such job. runAlone returns false if the wait exceeded patience or live has ended.
func (s *scheduler) runAlone(patience time.Duration, begin func() *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	expired := false
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
	defer func() { s.alone = false; s.room.Broadcast() }()
	for s.live.Err() == nil && s.inHand > s.stuck && !expired {
		s.room.Wait()
	}
	if s.live.Err() != nil || s.inHand > s.stuck {
		return false
	}
	s.mu.Unlock()
	j := begin()
	s.mu.Lock()
	if j == nil {
		return true
	}
	s.add(j)
	for s.live.Err() == nil && s.inHand > s.stuck && s.delayed[j] == nil {
		s.room.Wait()
	}
	return true
}

// countStuck adds n to the jobs whose handlers are stuck. A job that must run alone does not wait for them, and nothing waits for a
// job that ran alone and is stuck.
func (s *scheduler) countStuck(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck += n
	s.room.Broadcast()
}
