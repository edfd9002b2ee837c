package parley

import (
	"context"
	"errors"
	"fmt"
)

// Drain handles the rows that wait in the failure store, future retries included, without taking new messages from the queue. It
// returns nil when no row waits any more, or when ctx ends.
func (c *Consumer) Drain(ctx context.Context) error {
	if c.cfg.Failures == nil {
		return errors.New("parley: drain: the consumer has no failure store (ConsumerConfig.Failures)")
	}
	if err := c.cfg.Failures.Check(ctx); err != nil {
		return fmt.Errorf("parley: drain consumer %q: %w", c.cfg.Name, err)
	}
	hard, cancel := graceful(ctx, c.cfg.ShutdownTimeout)
	defer cancel()
	s := newSession(c, ctx, hard)
	defer s.scheduler.wakeOnEnd()()
	stopRows := s.startRows()
	err := s.rows.waitEmpty(ctx)
	left := s.stop(nil)
	stopRows()
	if left > 0 {
		err = errors.Join(err, fmt.Errorf("parley: drain consumer %q: %s", c.cfg.Name, plural(left, "handler did not return", "handlers did not return")))
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}
