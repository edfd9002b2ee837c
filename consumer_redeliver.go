package parley

import (
	"context"
	"errors"
	"time"
)

// This file connects returns to a session: see there for why deliveries are held.

// returnPoll is how often a consumer that waits for redeliveries checks whether the wait is over.
const returnPoll = 250 * time.Millisecond

// awaitReturns begins the wait for the deliveries that were in hand when the previous subscription was lost.
func (s *session) awaitReturns(o SubscribeOptions) {
	s.allowed = o.Prefetch
	if o.First > 0 {
		s.allowed = min(o.First, o.Prefetch)
	}
	if n := s.c.returns.subscribed(time.Now()); n > 0 {
		s.c.cfg.Logger.Info("consumer: waiting for redeliveries, later deliveries of their ordering keys are held",
			"queue", s.c.cfg.Queue, "keys", len(s.c.returns.keys), "missing", n, "limit", returnLimit.String())
	}
}

// noteUnsettled notes the deliveries of ordering keys that return to the queue. After a clean close the broker has returned them when the
// next subscription begins. Then only those are noted that held deliveries wait for.
func (s *session) noteUnsettled(lost bool) {
	r := &s.c.returns
	unsettled, acked := s.scheduler.unsettled()
	if lost {
		s.c.raises = raises{}
	} else {
		unsettled = r.onlyWaiting(unsettled)
	}
	r.lost(unsettled, acked)
	s.countHeld()
}

// next returns the next delivery. It returns nil when held jobs have been checked; end is not endLost if the session should end.
func (s *session) next(sub Subscription) (d *Delivery, end sessionEnd, err error) {
	if s.c.returns.idle() {
		d, err = sub.Next(s.live)
		return d, endLost, err
	}
	s.releaseDue()
	if s.raisePrefetch(sub) == endReturned {
		return nil, endReturned, nil
	}
	ctx, cancel := context.WithTimeout(s.live, returnPoll)
	defer cancel()
	d, err = sub.Next(ctx)
	if err != nil && ctx.Err() != nil && s.live.Err() == nil && !errors.Is(err, ErrSubscriptionLost) {
		return nil, endLost, nil
	}
	return d, endLost, err
}

// arrive admits a job, unless it must wait for earlier deliveries of its key; then it admits those that may follow it.
func (s *session) arrive(j *job) {
	if s.c.returns.idle() {
		s.admit(j)
		return
	}
	pass := s.c.returns.arrive(j, time.Now())
	s.countHeld()
	for _, j := range pass {
		s.admit(j)
	}
}

// releaseDue admits the held jobs that need not wait any longer.
func (s *session) releaseDue() {
	c := s.c
	pass, gaveUp := c.returns.due(time.Now(), c.InHand() < s.allowed)
	if gaveUp > 0 {
		c.cfg.Logger.Warn("consumer: deliveries that were in hand were not redelivered here (handled by another consumer, expired or dropped?), "+
			"later deliveries of their ordering keys continue", "queue", c.cfg.Queue, "missing", gaveUp)
	}
	s.countHeld()
	for _, j := range pass {
		s.admit(j)
	}
}

// countHeld publishes how many deliveries are held.
func (s *session) countHeld() {
	held := s.c.returns.held
	s.c.heldBack.Store(int64(held))
	s.c.heldBackMost.Store(2*held > s.allowed)
}

// raises is the state of raising the prefetch while held deliveries use it up.
type raises struct {
	since time.Time     // since when most of the prefetch is held; zero if it is not
	wait  time.Duration // before the next subscription, if the prefetch cannot be raised
}

// raiseAfter is how long held deliveries may use up the prefetch before it is raised. If it cannot be raised, the wait doubles
// each time, because a new subscription increases the delivery count of what was in hand.
const raiseAfter = 2 * time.Second

// raisePrefetch raises the prefetch while held deliveries use it up, so that other keys continue and earlier deliveries can
// return. If it cannot be raised, the session ends, and the held deliveries return to their place in the queue.
func (s *session) raisePrefetch(sub Subscription) sessionEnd {
	c, r := s.c, &s.c.raises
	if !c.heldBackMost.Load() || c.returns.bytes > c.cfg.MaxBytes {
		r.since = time.Time{}
		return endLost
	}
	if r.since.IsZero() {
		r.since = time.Now()
	}
	raiser, ok := sub.(PrefetchRaiser)
	if time.Since(r.since) < raiseAfter {
		return endLost
	}
	by := 0
	if ok {
		by = raiser.RaisePrefetch()
	}
	attrs := []any{"queue", c.cfg.Queue, "held", c.returns.held, "bytes", c.returns.bytes}
	if by > 0 {
		s.allowed, r.since = s.allowed+by, time.Time{}
		c.cfg.Logger.Info("consumer: deliveries held for the order of their keys use up the prefetch, prefetch raised", append(attrs, "by", by)...)
		return endLost
	}
	if time.Since(r.since) < r.wait {
		return endLost
	}
	*r = raises{wait: max(2*r.wait, 2*raiseAfter)}
	c.cfg.Logger.Warn("consumer: deliveries held for the order of their keys use up the prefetch, resubscribing", attrs...)
	return endReturned
}
