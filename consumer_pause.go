package parley

import (
	"context"
	"time"
)

// Paused returns the operator's pause of the consumer's queue, if there is one.
func (c *Consumer) Paused() (Pause, bool) { return c.cfg.Control.queuePause(c.cfg.Queue) }

// awaitResume blocks while an operator has paused the queue. It declares the queue meanwhile: without it the broker would
// drop the messages of the pause.
func (c *Consumer) awaitResume(ctx context.Context) {
	for declared := false; ctx.Err() == nil; {
		changed := c.cfg.Control.changed()
		p, paused := c.Paused()
		if !paused {
			return
		}
		c.setSubscribed(false, errPausedByOperator)
		wait := p.Left
		if !declared {
			err := c.prepare(ctx)
			if declared = err == nil; !declared && ctx.Err() == nil {
				c.cfg.Logger.Warn("consumer: declaring the paused queue failed, retrying", "queue", c.cfg.Queue, "err", err)
				wait = min(wait, declareAgain)
			}
		}
		c.cfg.Control.await(ctx, changed, wait)
	}
}

// endWhenPaused ends the session when an operator pauses the queue: running handlers finish, other deliveries return to the queue. The returned
// function joins the watch.
func (s *session) endWhenPaused() (join func()) {
	if s.c.cfg.Control == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() { // joined by the returned function
		defer close(done)
		for s.live.Err() == nil {
			changed := s.c.cfg.Control.changed()
			if _, paused := s.c.Paused(); paused {
				s.end()
				return
			}
			select {
			case <-s.live.Done():
			case <-changed:
			}
		}
	}()
	return func() {
		s.end()
		<-done
	}
}

// pausedKey returns the verdict on a job whose routing key an operator has paused: it waits in the failure store until the end of the pause.
// Keep and Settle keep the order of its ordering key.
func (s *session) pausedKey(j *job) verdict {
	if j.tries > 0 {
		return verdict{} // it has begun
	}
	p, paused := s.c.cfg.Control.keyPause(j.d.RoutingKey)
	switch {
	case !paused:
		return verdict{}
	case s.rows == nil:
		if s.c.unpausable.CompareAndSwap(false, true) {
			s.c.cfg.Logger.Error("consumer: messages cannot be paused by routing key without a failure store, handling them (pause the queue)",
				"queue", s.c.cfg.Queue, "pattern", p.RoutingKey)
		}
		return verdict{}
	}
	return verdict{action: actAppend, wait: p.Left, pause: p.Group()}
}

const (
	declareAgain = 10 * time.Second
	lateRows     = 3 * time.Second // until every process has seen the end of a pause and stored its last deliveries
	nearEnd      = 2 * time.Second // pauses that would have ended within this time are left to end
	returning    = time.Minute     // limit for returning the deliveries of a pause
)

// returnRows makes the deliveries of pauses that operators end early or shorten due at once, until ctx ends. A shortened pause keeps them
// again, until its new end.
func (c *Consumer) returnRows(ctx context.Context) {
	store, ok := c.cfg.Failures.(FailureOperator)
	if !ok || c.cfg.Control == nil {
		return
	}
	known := map[string]time.Time{} // ends by group
	for ctx.Err() == nil {
		changed := c.cfg.Control.changed()
		now := map[string]time.Time{}
		for _, p := range c.cfg.Control.Pauses() {
			if p.RoutingKey != "" {
				now[p.Group()] = time.Now().Add(p.Left)
			}
		}
		for group, end := range known {
			if later, still := now[group]; !still && time.Until(end) > nearEnd || still && end.Sub(later) > nearEnd {
				c.returnGroup(ctx, store, group)
			}
		}
		known = now
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

func (c *Consumer) returnGroup(ctx context.Context, store FailureOperator, group string) {
	for range 2 { // the second time for those that another process was storing meanwhile
		timed, cancel := context.WithTimeout(ctx, returning)
		_, err := returnPaused(timed, store, c.cfg.Name, group)
		cancel()
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.Warn("consumer: returning deliveries of an ended pause failed, they are due at its planned end", "consumer", c.cfg.Name, "err", err)
		}
		if !sleep(ctx, lateRows) {
			return
		}
	}
}
