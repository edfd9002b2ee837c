package parley

import (
	"context"
	"fmt"
	"time"
)

// A consumer without a failure store returns retried messages to its queue through the default exchange. A consumer of another
// library, such as the Python one, finds no route for such a copy and drops it. So each parley consumer also consumes a
// small members queue. If the work queue has more consumers than the members queue, another program takes from it, and
// retries wait in the process instead.

// MembersQueue returns the name of the queue whose consumers are the parley consumers of queue. No message
// is ever published to it.
func MembersQueue(queue string) string { return queue + ".parley" }

// membersExpire is how long the members queue outlives its last consumer, in milliseconds (x-expires).
const membersExpire = int64(24 * time.Hour / time.Millisecond)

func membersTopology(queue string) Topology {
	return Topology{Queues: []Queue{{Name: MembersQueue(queue), Arguments: map[string]any{"x-expires": membersExpire}}}}
}

// ForeignConsumers returns how many consumers of queue belong to another library. Parley consumers with a failure store are
// counted too: they do not join the members queue, because no copy of theirs returns to the queue. It returns an error if the
// broker cannot count.
func ForeignConsumers(ctx context.Context, b Broker, queue string) (int, error) {
	counter, ok := b.(queueCounter)
	if !ok {
		return 0, fmt.Errorf("parley: count consumers of queue %q: this broker cannot count them", queue)
	}
	_, all, err := counter.QueueLen(ctx, queue)
	if err != nil {
		return 0, fmt.Errorf("parley: count consumers of queue %q: %w", queue, err)
	}
	if all == 0 {
		return 0, nil
	}
	if _, ours, err := counter.QueueLen(ctx, MembersQueue(queue)); err == nil {
		return max(0, all-ours), nil
	}
	return all, nil // without the members queue no consumer is parley's
}

// membersInterval is how often a consumer counts the consumers of its queue.
const membersInterval = 15 * time.Second

// watchMembers consumes the members queue and counts the other consumers, until ctx ends.
func (c *Consumer) watchMembers(ctx context.Context) {
	if _, ok := c.broker.(queueCounter); !ok || c.cfg.Failures != nil || c.cfg.Topology.Mode != TopologyDeclare {
		return
	}
	for ctx.Err() == nil {
		err := c.joinMembers(ctx)
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.Debug("consumer: counting the consumers of the queue failed, retrying", "queue", c.cfg.Queue, "err", err)
		}
		sleep(ctx, membersInterval)
	}
}

func (c *Consumer) joinMembers(ctx context.Context) error {
	if err := c.broker.Declare(ctx, membersTopology(c.cfg.Queue)); err != nil {
		return err
	}
	sub, err := c.broker.Subscribe(ctx, MembersQueue(c.cfg.Queue), SubscribeOptions{Prefetch: 1, SharedQueue: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	suspected := false
	for looks := 0; ; looks++ {
		wait := membersInterval
		if looks < 2 {
			wait = time.Second // consumers that already run should be known before the first retry
		}
		next, cancel := context.WithTimeout(ctx, wait)
		d, err := sub.Next(next)
		quiet := next.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			_ = d.Settle(SettleAck) // no consumer of parley publishes here
			continue
		case !quiet:
			return err
		}
		if suspected, err = c.lookForOthers(ctx, suspected); err != nil {
			return err
		}
	}
}

// lookForOthers counts the consumers. Two counts in a row must agree: a starting consumer is counted on its work queue first.
func (c *Consumer) lookForOthers(ctx context.Context, suspected bool) (bool, error) {
	n, err := ForeignConsumers(ctx, c.broker, c.cfg.Queue)
	if err != nil {
		return suspected, err
	}
	if n == 0 {
		if c.shared.Swap(false) {
			c.cfg.Logger.Info("consumer: other consumers have left the queue, using the retry queues again", "queue", c.cfg.Queue)
		}
		return false, nil
	}
	if suspected && !c.shared.Swap(true) {
		c.cfg.Logger.Error("consumer: other consumers take from this queue (Python?); they would drop messages that return from a retry queue. "+
			"Retries wait in this process; use a failure store (ConsumerConfig.Failures) or a queue of your own", "queue", c.cfg.Queue, "others", n)
	}
	return true, nil
}
