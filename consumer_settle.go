package parley

import (
	"context"
	"errors"
)

// settle settles a delivery at the broker. If the session has ended, the message is redelivered.
func (c *Consumer) settle(ctx context.Context, j *job, s Settlement) {
	d := j.d
	err := d.Settle(s)
	if err == nil {
		j.settled = true
		c.settled.Add(1)
	}
	if errors.Is(err, ErrStale) {
		if c.cfg.Hooks.Stale != nil {
			c.cfg.Hooks.Stale(d)
		}
		return
	}
	if err != nil {
		c.cfg.Logger.WarnContext(ctx, "consumer: settling a delivery failed", c.attrs(d, err)...)
	}
}

// attrs returns the log attributes of a delivery. Texts chosen by its sender are made printable.
func (c *Consumer) attrs(d *Delivery, err error) []any {
	a := []any{"queue", d.Queue, "exchange", printable(shorten(d.Exchange, 80)),
		"routing_key", printable(shorten(d.RoutingKey, 80)), "message_id", printable(shorten(d.ID, 80))}
	if err != nil {
		a = append(a, "err", printable(shorten(err.Error(), 500)))
	}
	return a
}

func (c *Consumer) report(j *job, outcome Outcome, v verdict) {
	if c.cfg.Hooks.Done == nil {
		return
	}
	r := ConsumerReport{Delivery: j.d, Outcome: outcome, Err: v.err, Took: j.took, Attempts: j.tries, FromStore: j.row != nil}
	if outcome == OutcomeRetried {
		r.Delay = v.wait
	}
	c.cfg.Hooks.Done(r)
}
