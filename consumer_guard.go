package parley

import (
	"fmt"
	"math"
	"strconv"
)

// guard checks how often the broker has delivered the message. A high count is a suspicion, not a proof: when a process crashes,
// the count rises for every delivery in hand. So a suspect runs alone, and only a suspect that is
// redelivered too often is parked. Without a failure store a suspect of an ordered route stays in its place until then.
func (c *Consumer) guard(j *job) {
	if j.verdict.action != actNone {
		return
	}
	if !j.d.Redelivered {
		j.alone = j.d.history.begun > 0 // a suspect that was moved aside; the count in a first delivery was set by its publisher
		return
	}
	count := deliveryCount(j.d)
	begun := j.d.history.begun + count
	if c.cfg.PoisonLimit > 0 && begun >= c.cfg.PoisonLimit && j.d.history.begun > 0 {
		j.verdict = verdict{action: actPark, err: fmt.Errorf("%w: %d times", errRedelivered, begun)}
		return
	}
	if count < c.suspectFrom() && j.d.history.begun == 0 {
		return
	}
	if c.cfg.Failures != nil {
		j.verdict = verdict{action: actRetry, begun: SuspectAfter, err: errRedelivered}
		return
	}
	if j.key != "" && count < c.lastCount() {
		j.alone = true // in its place: at the end of the queue, later messages of its key would overtake it
		return
	}
	if j.key != "" && c.cfg.PoisonLimit > 0 {
		j.verdict = verdict{action: actPark, err: fmt.Errorf("%w: %d times", errRedelivered, begun)}
		return
	}
	if count >= c.suspectFrom() && !c.shared.Load() {
		// Store it at once, beside the others: no handler runs, and the broker may drop it when this process ends.
		j.verdict = verdict{action: actRetry, begun: begun, err: errRedelivered}
		return
	}
	j.alone = true
}

// brokerLimit is how often a quorum queue delivers a message before it drops it: the default of RabbitMQ 4.0.
const brokerLimit = 20

// suspectFrom returns the count from which on a delivery is moved aside: half of the lowest limit, so that
// the broker never drops it.
func (c *Consumer) suspectFrom() int {
	return max(1, min(brokerLimit, c.deliveryLimit(), c.poisonLimit())/2)
}

// lastCount returns the count from which on a suspect of an ordered route must leave its place: at the poison limit, and one delivery before
// the broker would drop it.
func (c *Consumer) lastCount() int {
	return max(1, min(c.deliveryLimit()-1, c.poisonLimit()))
}

// deliveryLimit returns the delivery limit that the configured topology gives the queue, or the broker's default.
func (c *Consumer) deliveryLimit() int {
	for _, q := range c.cfg.Topology.Queues {
		n, ok := wholeNumber(q.Arguments["x-delivery-limit"])
		switch {
		case !ok || q.Name != c.cfg.Queue || n == 0:
		case n < 0:
			return math.MaxInt // unlimited
		default:
			return n
		}
	}
	return brokerLimit
}

// poisonLimit returns PoisonLimit; a negative one means none.
func (c *Consumer) poisonLimit() int {
	if c.cfg.PoisonLimit < 0 {
		return math.MaxInt
	}
	return c.cfg.PoisonLimit
}

func wholeNumber(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case int32:
		return int(n), true
	case int64:
		return int(n), true
	}
	return 0, false
}

// deliveryCount returns how often a quorum queue has delivered the message before.
func deliveryCount(d *Delivery) int {
	if text, ok := d.Headers["x-delivery-count"].(string); ok {
		count, _ := strconv.Atoi(text)
		return count
	}
	count, _ := wholeNumber(d.Headers["x-delivery-count"])
	return count
}
