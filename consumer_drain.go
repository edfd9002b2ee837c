package parley

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Drain handles the rows that wait in the failure store, future retries included, without taking new messages from the queue. It
// returns nil when no row waits any more, or when ctx ends.
//
// With a Control, a pause of the queue is an error that wraps ErrPaused, at the start and later. Rows of a paused routing key wait until the
// end of the pause, and Drain waits for them. A tripped kill switch is an error too.
func (c *Consumer) Drain(ctx context.Context) error {
	if c.cfg.Failures == nil {
		return errors.New("parley: drain: the consumer has no failure store (ConsumerConfig.Failures)")
	}
	err := patientStore{c.cfg.Failures}.Check(ctx)
	if err == nil {
		if err = c.drain(ctx); ctx.Err() != nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("parley: drain consumer %q: %w", c.cfg.Name, err)
	}
	return nil
}

func (c *Consumer) drain(ctx context.Context) error {
	if err := c.cfg.Control.readNow(ctx); err != nil {
		return err
	}
	if p, paused := c.Paused(); paused {
		return p.stops()
	}
	hard, cancel := graceful(ctx, c.cfg.ShutdownTimeout)
	defer cancel()
	defer c.followPauses(ctx)()
	s := newSession(c, ctx, hard)
	defer s.scheduler.wakeOnEnd()()
	defer s.endWhenPaused()()
	stopRows := s.startRows()
	err := s.rows.waitEmpty(s.live)
	if s.live.Err() != nil {
		err = c.interrupted()
	}
	left := s.stop(nil)
	stopRows()
	if left > 0 {
		err = errors.Join(err, errors.New(plural(left, "handler did not return", "handlers did not return")))
	}
	return err
}

// followPauses reads the pauses, and returns the deliveries of those that end, until the returned function is called.
func (c *Consumer) followPauses(ctx context.Context) (join func()) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.cfg.Control.Run(ctx) }) // it returns nil
	wg.Go(func() { c.returnRows(ctx) })
	return func() {
		stop()
		wg.Wait()
	}
}

// interrupted returns why a drain has ended before the rows were handled.
func (c *Consumer) interrupted() error {
	if p, paused := c.Paused(); paused {
		return p.stops()
	}
	if cause := c.kill.cause(); cause != nil {
		return fmt.Errorf("kill switch tripped: %w", cause)
	}
	return fmt.Errorf("%w for a moment (repeat the drain)", ErrPaused)
}
