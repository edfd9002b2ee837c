package parley

import (
	"context"
	"sync"
	"time"
)

// lanes handle the deliveries of one subscription: as many at once as there are
// workers, but those of one key one after another. A delivery that waits for its next
// try occupies no worker; its key waits with it, other keys go on.
type lanes struct {
	c       *Consumer
	live    context.Context // ends when nothing may begin any more
	end     context.CancelFunc
	hard    context.Context // ends when handlers must stop
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	jobs    *sync.Cond // workers wait here, for a job or the end
	room    *sync.Cond // those who wait for jobs to end
	ready   []*job
	keys    map[string]*keyLane // keys with a job in hand
	waiting int                 // jobs behind the one in hand of their key
	bytes   int                 // of all bodies in hand
	resting map[*job]*time.Timer
	inHand  int
	over    bool // what is left behind no longer counts
	stuck   int  // workers whose handler ignores its context
}

// A keyLane is the queue of one key. Its first job is in hand: running, ready or resting.
type keyLane struct {
	first   *job
	waiting []*job
}

// A job is a delivery on its way through its attempts.
type job struct {
	d        *Delivery
	route    *Route
	key      string // orders it; "" for none
	tries    int    // attempts since it was delivered
	hops     int    // longer waits since the last replay, in delay queues or here
	began    bool
	replaced bool      // another worker has taken over
	due      time.Time // when a rest ends
	next     verdict   // decided but not carried out yet
	started  time.Time
	took     time.Duration
}

func newLanes(c *Consumer, ctx, hard context.Context) *lanes {
	l := &lanes{c: c, keys: map[string]*keyLane{}, resting: map[*job]*time.Timer{}}
	l.jobs, l.room = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	l.live, l.end = context.WithCancel(ctx)
	l.hard, l.cancel = context.WithCancel(hard)
	for range c.cfg.Lanes {
		l.workers.Go(l.work)
	}
	return l
}

// dispatch queues a delivery. It waits while the bodies in hand exceed the byte budget.
func (l *lanes) dispatch(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := len(j.d.Body)
	for l.bytes > 0 && l.bytes+size > l.c.cfg.MaxBytes && l.live.Err() == nil {
		l.room.Wait()
	}
	l.bytes += size
	l.inHand++
	l.c.inHand.Add(1)
	if j.key == "" {
		l.push(j)
		return
	}
	lane := l.keys[j.key]
	if lane == nil {
		l.keys[j.key] = &keyLane{first: j}
		l.push(j)
		return
	}
	lane.waiting = append(lane.waiting, j)
	l.waiting++
	if l.pressed() {
		l.hurry()
	}
}

// push makes a job ready; mu is held.
func (l *lanes) push(j *job) {
	l.ready = append(l.ready, j)
	l.jobs.Broadcast()
}

// pressed tells that followers use up the prefetch: all other keys would stop. mu is held.
func (l *lanes) pressed() bool { return l.waiting > l.c.cfg.Prefetch/2 }

// pressedRest is how long a key with followers rests when they use up the prefetch.
const pressedRest = time.Second

// hurry shortens the rests of keys that hold up others; mu is held.
func (l *lanes) hurry() {
	for j, timer := range l.resting {
		if j.key != "" && time.Until(j.due) > pressedRest && timer.Stop() {
			j.due = time.Now().Add(pressedRest)
			timer.Reset(pressedRest)
		}
	}
}

// rest makes a job ready again after d.
func (l *lanes) rest(j *job, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live.Err() != nil {
		return // it returns to the queue with its channel
	}
	if j.key != "" && l.pressed() {
		d = min(d, pressedRest)
	}
	j.due = time.Now().Add(d)
	l.resting[j] = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, ok := l.resting[j]; ok {
			delete(l.resting, j)
			l.push(j)
		}
	})
}

// finish lets the next job of the key go on.
func (l *lanes) finish(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return // counted off already
	}
	l.bytes -= len(j.d.Body)
	l.inHand--
	l.c.inHand.Add(-1)
	l.room.Broadcast()
	lane := l.keys[j.key]
	if j.key == "" || lane == nil {
		return
	}
	if len(lane.waiting) == 0 {
		delete(l.keys, j.key)
		return
	}
	lane.first, lane.waiting = lane.waiting[0], lane.waiting[1:]
	l.waiting--
	l.push(lane.first)
}

// take waits for a job. It returns nil when nothing may begin any more.
func (l *lanes) take() *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) == 0 && l.live.Err() == nil {
		l.jobs.Wait()
	}
	if l.live.Err() != nil {
		return nil
	}
	j := l.ready[0]
	l.ready[0] = nil
	l.ready = l.ready[1:]
	return j
}

func (l *lanes) work() {
	for {
		j := l.take()
		if j == nil {
			return
		}
		if replaced := l.run(j); replaced {
			return
		}
	}
}

// run takes one job a step further. It tells that another worker has taken this one's
// place meanwhile, because the handler did not return in time.
func (l *lanes) run(j *job) (replaced bool) {
	returned := false
	defer func() {
		if !returned { // the handler has ended this goroutine: runtime.Goexit, t.FailNow
			l.step(j, errGoexit)
			if !j.replaced {
				l.workers.Go(l.work)
			}
		}
	}()
	// Asked here, not on arrival: the message ahead may have been parked since.
	if j.next.action == actNone && l.c.held.behind(j) {
		j.next = verdict{action: actPark, err: errKeyHeld}
	}
	if j.next.action != actNone {
		returned = true
		l.carryOut(j)
		return false
	}
	err, replaced := l.c.attempt(l, j)
	returned = true
	l.step(j, err)
	return replaced
}

// step decides on the outcome of an attempt and acts on it.
func (l *lanes) step(j *job, err error) {
	j.next = l.c.decide(l, j, err)
	l.carryOut(j)
}

func (l *lanes) carryOut(j *job) {
	if wait, again := l.c.carryOut(l, j); again {
		l.rest(j, wait)
		return
	}
	l.finish(j)
}

// stop lets nothing begin any more, waits for the running handlers and returns how many it
// had to leave behind: handlers that ignore the end of their context cannot be ended.
func (l *lanes) stop(grace time.Duration) int {
	l.mu.Lock()
	l.end()
	for j, timer := range l.resting {
		timer.Stop()
		delete(l.resting, j)
	}
	l.wakeAll()
	l.mu.Unlock()

	done := make(chan struct{})
	go func() { l.workers.Wait(); close(done) }() // joined below, unless a handler never returns
	patience := time.NewTimer(grace)
	defer patience.Stop()
	defer l.cancel()
	select {
	case <-done:
	case <-l.hard.Done():
	case <-patience.C:
	}
	l.cancel()
	last := time.NewTimer(time.Second)
	defer last.Stop()
	left := 0
	select {
	case <-done:
	case <-last.C:
		left = l.running()
	}
	l.forget()
	return left
}

// settleOne waits until the delivery in hand is done with, and returns errProbed if consuming
// may go on.
func (l *lanes) settleOne() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.inHand > 0 {
		if l.live.Err() != nil {
			return l.live.Err()
		}
		l.room.Wait()
	}
	if l.c.kill.cause() == nil {
		return errProbed
	}
	return l.live.Err()
}

// wakeOnEnd wakes everybody when live ends. The returned function ends that.
func (l *lanes) wakeOnEnd() (stop func() bool) {
	return context.AfterFunc(l.live, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.wakeAll()
	})
}

// wakeAll has everybody look again; mu is held.
func (l *lanes) wakeAll() {
	l.jobs.Broadcast()
	l.room.Broadcast()
}

// running counts the workers whose handler has not returned.
func (l *lanes) running() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.stuck, 1)
}

// forget takes what was not begun out of the count of deliveries in hand.
func (l *lanes) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.c.inHand.Add(-int64(l.inHand))
	l.ready, l.keys, l.bytes = nil, map[string]*keyLane{}, 0
}
