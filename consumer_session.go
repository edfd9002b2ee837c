package parley

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A session consumes on one subscription, from its start to its end. It owns the jobs. Deliveries are dispatched to the
// scheduler, which calls step; deliveries not begun when the session ends return to their queue or table.
//
// A job passes these steps in order: precheck → attempt → decide → apply.
type session struct {
	c         *Consumer
	scheduler *scheduler
	rows      *rowSource // nil without a failure store
	probing   bool       // one delivery decides whether consumption resumes
	allowed   int        // unacked deliveries that the subscription allows at least

	run    context.Context // ends when the consumer stops
	live   context.Context // ends when no further step may begin
	end    context.CancelFunc
	hard   context.Context // ends when handlers must stop
	cancel context.CancelFunc
}

// sessionEnd is the reason why a session has ended.
type sessionEnd int

const (
	endLost     sessionEnd = iota // subscription lost, or the consumer stops
	endProbed                     // the probe succeeded, consumption resumes
	endResized                    // the next subscription uses another prefetch
	endReturned                   // held deliveries had used up the prefetch, and return to the queue
	endHeld                       // late handlers hold the keys of all deliveries that the probe's prefetch allows
)

func newSession(c *Consumer, ctx, hard context.Context) *session {
	s := &session{c: c, probing: c.kill.isProbing(), run: ctx}
	s.live, s.end = context.WithCancel(ctx)
	s.hard, s.cancel = context.WithCancel(hard)
	limits := schedulerLimits{workers: c.cfg.Concurrency, maxBytes: c.cfg.MaxBytes, followers: c.cfg.Prefetch / 2, acked: c.cfg.Prefetch}
	s.scheduler = newScheduler(s.live, limits, &c.inHand, s.step)
	c.late.begin(s.scheduler)
	if c.cfg.Failures != nil {
		s.rows = newRowSource(s)
	}
	return s
}

// session consumes on one subscription until the subscription or ctx ends.
func (c *Consumer) session(ctx, hard context.Context) (end sessionEnd, err error) {
	if err := c.prepare(ctx); err != nil {
		return endLost, err
	}
	options := c.subscribeOptions()
	sub, err := c.broker.Subscribe(ctx, c.cfg.Queue, options)
	if err != nil {
		return endLost, err
	}
	c.setSubscribed(true, nil)
	s := newSession(c, ctx, hard)
	s.awaitReturns(options)
	defer s.scheduler.wakeOnEnd()()
	defer s.endWhenPaused()()
	stopRows := s.startRows()
	end, err = s.feed(sub)
	if errors.Is(err, ErrSubscriptionLost) {
		c.setSubscribed(false, err) // at once: running handlers may take the whole shutdown timeout
	}
	if s.stop(err) == 0 || ctx.Err() != nil {
		stopRows()
	} else {
		s.stopRowsLate(ctx, stopRows)
	}
	// Unhandled deliveries return to the queue in their order when the channel closes.
	return end, errors.Join(err, sub.Close())
}

// subscribeOptions returns the options of the next subscription.
func (c *Consumer) subscribeOptions() SubscribeOptions {
	o := SubscribeOptions{Prefetch: max(1, c.probePrefetch), SharedQueue: c.sharedQueue()}
	if !c.kill.isProbing() {
		c.probePrefetch = 0
		o.Prefetch = c.prefetch.begin()
		if o.SharedQueue {
			o.First = min(o.Prefetch, firstDeliveries, c.suspectFrom())
		}
	}
	return o
}

// firstDeliveries is the prefetch of a new subscription until as many deliveries have been settled. It is lower on queues that
// drop a message after few deliveries: each crash raises the count of every delivery in hand.
const firstDeliveries = 8

// sharedQueue reports whether the queue is known not to be single-active, because the configuration declares it.
func (c *Consumer) sharedQueue() bool {
	if c.cfg.Topology.Mode != TopologyDeclare {
		return false
	}
	for _, q := range c.cfg.Topology.Queues {
		if q.Name == c.cfg.Queue {
			single, _ := q.Arguments["x-single-active-consumer"].(bool)
			return !single
		}
	}
	return false
}

// feed dispatches deliveries until the session ends.
func (s *session) feed(sub Subscription) (sessionEnd, error) {
	if s.probing {
		return s.probe(sub)
	}
	for {
		d, end, err := s.next(sub)
		switch {
		case err != nil || end != endLost:
			return end, err
		case d == nil:
		case s.c.prefetch.needsResize(len(d.Body)):
			return endResized, nil // d returns to the queue with the buffered deliveries
		default:
			s.arrive(s.c.newJob(d))
		}
	}
}

// probe lets one delivery decide whether consumption resumes. If the queue is empty a due row decides: during an
// outage failed probes may have moved every delivery to the failure store. A delivery that says nothing about the cause (expired,
// ignored, parked at once) is followed by the next one without a pause. So is one whose key a late handler holds, with twice the prefetch
// if need be: a handler that never returns must not keep the consumer paused.
func (s *session) probe(sub Subscription) (sessionEnd, error) {
	held := 0
	for before := s.c.kill.notes(); ; {
		next, cancel := context.WithTimeout(s.live, rowPoll)
		d, err := sub.Next(next)
		quiet := next.Err() != nil && s.live.Err() == nil
		cancel()
		switch {
		case err == nil:
			j := s.c.newJob(d)
			s.c.returns.skip(j)
			if s.scheduler.holds(j.key) {
				held++
			}
			if held >= s.allowed && s.allowed < s.c.cfg.Prefetch {
				s.c.probePrefetch = min(2*s.allowed, s.c.cfg.Prefetch)
				return endHeld, nil
			}
			s.admit(j)
		case !quiet:
			return endLost, err
		case s.rows != nil:
			s.rows.claimProbe(s.live)
		}
		closed := func() bool { return s.c.kill.cause() == nil }
		if s.scheduler.waitUntil(closed) && closed() {
			return endProbed, nil
		}
		if s.live.Err() != nil || s.c.kill.notes() != before {
			return endLost, s.live.Err()
		}
	}
}

// trip ends the session: deliveries in hand return to their queue or table.
func (s *session) trip() { s.end() }

// stop ends the session, waits for the running handlers and returns how many did not return. cause is why deliveries ended.
func (s *session) stop(cause error) (left int) {
	s.end()
	defer s.cancel()
	lost := errors.Is(cause, ErrSubscriptionLost)
	wait, enough := context.WithCancel(s.hard)
	defer enough()
	var watch sync.WaitGroup
	defer watch.Wait() // forget ends it
	if s.run.Err() == nil {
		watch.Go(func() { s.scheduler.waitUnlessStuck(); enough() })
	}
	if !s.scheduler.stop(s.patience(lost), wait, s.cancel) {
		left = s.scheduler.stepsRunning()
		s.c.late.add(s.scheduler)
	}
	s.noteUnsettled(lost)
	s.scheduler.forget()
	s.c.unstored.Store(0) // these deliveries return to their queue
	return left
}

// patience returns how long the end of a session waits for running handlers before their contexts end. While the subscription lives their
// deliveries are still in hand, so they may take all the time of an attempt. If the kill switch has tripped, a handler that hangs must not
// delay the probes. If the consumer stops, s.hard ends after the shutdown timeout.
func (s *session) patience(lost bool) time.Duration {
	_, paused := s.c.Paused()
	if lost || s.c.kill.cause() != nil && !paused {
		return s.c.cfg.ShutdownTimeout
	}
	return s.c.cfg.HandlerTimeout + s.c.cfg.StuckAfter
}

// prepare declares or checks the configured topology and the consumer's own queues, and checks the failure store.
func (c *Consumer) prepare(ctx context.Context) error {
	t := c.cfg.Topology
	if len(t.Exchanges)+len(t.Queues)+len(t.Bindings) > 0 {
		if err := c.broker.Declare(ctx, t); err != nil {
			return err
		}
	}
	if c.cfg.Failures != nil {
		return c.prepareFailures(ctx)
	}
	return c.declareRetryQueues(ctx)
}

// declareRetryQueues declares or checks the retry queues and the parked queue.
func (c *Consumer) declareRetryQueues(ctx context.Context) error {
	return c.broker.Declare(ctx, retryTopology(c.cfg.Queue, c.cfg.Topology.Mode, c.delays, c.cfg.QueueArguments))
}
