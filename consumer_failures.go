package parley

import (
	"context"
	"errors"
	"fmt"
)

// prepareFailures checks the failure store, and imports the parked queue of an earlier configuration. Its retry
// queues return their messages without help.
func (c *Consumer) prepareFailures(ctx context.Context) error {
	if c.failuresReady {
		return nil
	}
	if err := (patientStore{c.cfg.Failures}).Check(ctx); err != nil {
		return fmt.Errorf("failure store of consumer %q: %w", c.cfg.Name, err)
	}
	if err := c.takeInParked(ctx); err != nil {
		c.cfg.Logger.Warn("consumer: moving the parked queue into the database failed, retrying at the next subscription", "queue", ParkedQueue(c.cfg.Queue), "err", err)
		return nil
	}
	c.failuresReady = true
	return nil
}

// takeInParked moves the messages of the parked queue into the failure store. A message whose history is not verified stays: its
// headers may name an exchange that it never came from.
func (c *Consumer) takeInParked(ctx context.Context) error {
	n, counted := countMessages(ctx, c.broker, ParkedQueue(c.cfg.Queue))
	if !counted || n == 0 {
		return nil
	}
	moved, left := 0, 0
	err := VisitParked(ctx, c.broker, c.cfg.Queue, c.secrets, func(m *ParkedMessage) (ParkedAction, error) {
		if !m.Signed {
			left++
			return ParkedKeep, nil
		}
		j := &job{d: NewDelivery(m.Message, c.cfg.Queue, true, nil)}
		j.d.history = m.History
		c.address(j)
		reason := m.History.Reason
		if reason == "" {
			reason = "parked earlier"
		}
		f := c.failure(j, verdict{action: actPark, err: errors.New(reason)})
		f.History.Reason = reason
		if _, err := (patientStore{c.cfg.Failures}).Keep(ctx, c.cfg.Name, []Failure{f}); errors.Is(err, ErrRefused) {
			left++ // the others must not wait behind a message that the database cannot take
			return ParkedKeep, nil
		} else if err != nil {
			return ParkedKeep, err
		}
		moved++
		return ParkedDrop, nil
	})
	if moved+left > 0 {
		c.cfg.Logger.Info("consumer: parked messages moved from their queue into the database", "queue", ParkedQueue(c.cfg.Queue), "moved", moved, "left", left)
	}
	return err
}

// declareParkedQueue declares or checks only the parked queue: a consumer with a failure store needs it for messages that the
// database refuses.
func (c *Consumer) declareParkedQueue(ctx context.Context) error {
	return c.broker.Declare(ctx, retryTopology(c.cfg.Queue, c.cfg.Topology.Mode, nil, c.cfg.QueueArguments))
}
