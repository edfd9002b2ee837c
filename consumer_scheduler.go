package parley

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A scheduler runs the jobs of one session: as many at once as there are workers, and the jobs of one ordering key one after
// another. A job that waits for its next attempt occupies no worker. Its key waits with it; other keys continue.
//
// It knows nothing about brokers, handlers or retries: step takes a job one step further and returns what to do next.
type scheduler struct {
	step    func(j *job) next
	limits  schedulerLimits
	live    context.Context // ends when no further step may begin
	workers sync.WaitGroup
	total   *atomic.Int64 // jobs in hand, of all sessions of the consumer

	mu       sync.Mutex // guards the fields below
	jobs     *sync.Cond // workers wait here, for a job or the end of live
	room     *sync.Cond // callers wait here until jobs have ended
	ready    []*job     // deliveries
	rows     []*job     // rows of the failure store: few, and handled first
	keys     map[string]*keyQueue
	waiting  int // deliveries behind another job of their key
	bytes    int // of all bodies in hand
	delayed  map[*job]*time.Timer
	inHand   int
	rowsBusy int           // rows in hand that do not wait behind another job of their key
	running  int           // steps that are running
	stuck    map[*job]bool // jobs in hand whose handlers ignore the end of their contexts
	alone    bool          // a job that must run alone is running, or waits until nothing else is in hand
	lone     *job          // that job, until it is finished, delayed or stuck
	over     bool          // forget was called: jobs that are still running are no longer counted
	ended    endedKeys
	done     chan struct{} // closed when all workers have ended; stop makes it
}

// schedulerLimits bound the jobs of a scheduler.
type schedulerLimits struct {
	workers  int
	maxBytes int
	// followers is how many deliveries may wait behind delayed jobs of their keys before these delays are shortened.
	followers int
	// acked is how many of the last acked deliveries of ordering keys are remembered.
	acked int
}

// next is a step's answer: what to do next with its job.
type next struct {
	again bool          // take another step after the delay below; false means that the job is finished
	after time.Duration // delay before that step
}

// A keyQueue holds the jobs of one ordering key. Its first job is ready, running or delayed. It is nil while the key is held.
type keyQueue struct {
	first   *job
	waiting []*job
}

func newScheduler(live context.Context, limits schedulerLimits, total *atomic.Int64, step func(j *job) next) *scheduler {
	s := &scheduler{
		step: step, limits: limits, live: live, total: total,
		keys: map[string]*keyQueue{}, delayed: map[*job]*time.Timer{}, stuck: map[*job]bool{},
	}
	s.jobs, s.room = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	for range limits.workers {
		s.addWorker()
	}
	return s
}

// addWorker starts a worker: at the start, or in place of one whose handler is stuck.
func (s *scheduler) addWorker() { s.workers.Go(s.work) }

// wakeOnEnd wakes all waiting goroutines when live ends. The returned function cancels that.
func (s *scheduler) wakeOnEnd() (stop func() bool) {
	return context.AfterFunc(s.live, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wakeAll()
	})
}

// wakeAll wakes all waiting goroutines; mu is held.
func (s *scheduler) wakeAll() {
	s.jobs.Broadcast()
	s.room.Broadcast()
}

// dispatch adds a job. It blocks while the bodies in hand exceed the byte budget, and while a job runs alone.
func (s *scheduler) dispatch(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := len(j.d.Body)
	for s.live.Err() == nil && (s.alone || s.bytes > 0 && s.bytes+size > s.limits.maxBytes) {
		s.room.Wait()
	}
	s.add(j)
}

// add adds a job to those in hand; mu is held.
func (s *scheduler) add(j *job) {
	s.bytes += len(j.d.Body)
	s.inHand++
	s.total.Add(1)
	if j.key == "" {
		s.push(j)
		return
	}
	queue := s.keys[j.key]
	if queue == nil {
		s.keys[j.key] = &keyQueue{first: j}
		s.push(j)
		return
	}
	queue.waiting = append(queue.waiting, j)
	if j.row != nil {
		return // a row occupies no prefetch
	}
	s.waiting++
	if s.underPressure() {
		s.shortenDelays()
	}
}

// push makes a job ready that is new or has become the first of its key; mu is held.
func (s *scheduler) push(j *job) {
	if j.row != nil {
		s.rowsBusy++
	}
	s.enqueue(j)
}

// enqueue makes a job ready; mu is held.
func (s *scheduler) enqueue(j *job) {
	if j.row != nil {
		s.rows = append(s.rows, j)
	} else {
		s.ready = append(s.ready, j)
	}
	s.jobs.Signal()
}

// roomForRows returns how many more rows of the failure store may be claimed: one for each idle worker, or, while deliveries
// keep the workers busy, up to half of the workers.
func (s *scheduler) roomForRows() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alone || s.bytes >= s.limits.maxBytes {
		return 0
	}
	idle := s.limits.workers - s.running - len(s.ready) - len(s.rows)
	half := max(1, s.limits.workers/2) - s.rowsBusy
	return max(idle, half, 0)
}

// bytesLeft returns the free part of the byte budget, at least 1.
func (s *scheduler) bytesLeft() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(1, s.limits.maxBytes-s.bytes)
}

// underPressure reports whether deliveries that wait behind their keys use up the prefetch, which would stop all other keys. mu is held.
func (s *scheduler) underPressure() bool { return s.waiting > s.limits.followers }

// shortDelay is the longest delay of an ordering key under pressure.
const shortDelay = time.Second

// shortenDelays shortens the long delays of ordering keys; mu is held.
func (s *scheduler) shortenDelays() {
	for j, timer := range s.delayed {
		if j.key != "" && time.Until(j.due) > shortDelay && timer.Stop() {
			j.due = time.Now().Add(shortDelay)
			timer.Reset(shortDelay)
		}
	}
}

// after does what a step has answered.
func (s *scheduler) after(j *job, n next) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if n.again {
		s.delay(j, n.after)
	} else {
		s.finish(j)
	}
}

// delay makes a job ready again after d; mu is held.
func (s *scheduler) delay(j *job, d time.Duration) {
	if s.live.Err() != nil {
		s.room.Broadcast()
		return // it returns to its queue or table
	}
	if j.key != "" && s.underPressure() {
		d = min(d, shortDelay)
	}
	j.due = time.Now().Add(d)
	s.delayed[j] = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.delayed[j]; ok {
			delete(s.delayed, j)
			s.enqueue(j)
		}
	})
	s.endLone(j)
	s.room.Broadcast()
}

// finish removes a job. The next job of its key becomes ready. mu is held.
func (s *scheduler) finish(j *job) {
	if s.over {
		return // no longer counted
	}
	s.ended.add(j, s.limits.acked)
	s.bytes -= len(j.d.Body)
	s.inHand--
	s.total.Add(-1)
	if j.row != nil {
		s.rowsBusy--
	}
	s.endLone(j)
	s.room.Broadcast()
	s.advance(j.key)
}

// advance makes the next job of a key ready; mu is held.
func (s *scheduler) advance(key string) {
	queue := s.keys[key]
	if queue == nil {
		return
	}
	if len(queue.waiting) == 0 {
		delete(s.keys, key)
		return
	}
	queue.first, queue.waiting = queue.waiting[0], queue.waiting[1:]
	if queue.first.row == nil {
		s.waiting--
	}
	s.push(queue.first)
}

// take waits for a job. It returns nil when live has ended.
func (s *scheduler) take() *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready)+len(s.rows) == 0 && s.live.Err() == nil {
		s.jobs.Wait()
	}
	if s.live.Err() != nil {
		return nil
	}
	from := &s.ready
	if len(s.rows) > 0 {
		from = &s.rows
	}
	j := (*from)[0]
	(*from)[0] = nil
	*from = (*from)[1:]
	s.running++
	return j
}

func (s *scheduler) work() {
	for {
		j := s.take()
		if j == nil {
			return
		}
		if replaced := s.run(j); replaced {
			return
		}
	}
}

// run takes one step of a job. It reports whether another worker has replaced this one, because the
// handler did not return in time.
func (s *scheduler) run(j *job) (replaced bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		// The handler has ended this goroutine (runtime.Goexit, t.FailNow). Another goroutine takes the next
		// step of the job, which reports it.
		j.exited = true
		s.stepped()
		s.workers.Go(func() {
			s.begin()
			if replaced := s.run(j); !replaced {
				s.work()
			}
		})
	}()
	n := s.step(j)
	returned = true
	// Another worker may own the job after the next lines. A later step without an attempt must not end another worker.
	replaced, j.replaced = j.replaced, false
	s.after(j, n)
	return replaced
}

func (s *scheduler) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running++
}

func (s *scheduler) stepped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// waitIdle blocks until nothing is in hand but jobs of held keys. It returns false if live ended first.
func (s *scheduler) waitIdle() bool { return s.waitUntil(func() bool { return false }) }

// waitUntil is waitIdle, and ends too if enough returns true when a job has ended.
func (s *scheduler) waitUntil(enough func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.inHand > s.heldBehind() && s.live.Err() == nil && !enough() {
		s.room.Wait()
	}
	return s.live.Err() == nil || s.inHand == s.heldBehind()
}

// isIdle reports whether nothing is in hand.
func (s *scheduler) isIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inHand == 0
}

// stop waits until the running steps have returned. live must have ended. Handlers get the timeout, at most until hard ends. Then
// cancel ends their contexts, and they get another second. It reports whether all have returned: a handler
// that ignores its context cannot be ended. forget must be called afterwards.
func (s *scheduler) stop(timeout time.Duration, hard context.Context, cancel func()) (ended bool) {
	s.mu.Lock()
	for j, timer := range s.delayed {
		timer.Stop()
		delete(s.delayed, j)
	}
	s.wakeAll()
	s.mu.Unlock()

	done := make(chan struct{})
	s.done = done
	go func() { s.workers.Wait(); close(done) }() // joined below, unless a handler never returns
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	select {
	case <-done:
	case <-hard.Done():
	case <-patience.C:
	}
	cancel()
	last := time.NewTimer(time.Second)
	defer last.Stop()
	select {
	case <-done:
		ended = true
	case <-last.C:
	}
	return ended
}

// forget stops counting the jobs that are still running.
func (s *scheduler) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.total.Add(-int64(s.inHand))
	s.ready, s.rows, s.keys, s.bytes = nil, nil, map[string]*keyQueue{}, 0
	s.room.Broadcast()
}
