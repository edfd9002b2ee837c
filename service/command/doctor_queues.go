package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// A queueChecker is a broker that can report problems with a retry queue or a parked queue.
type queueChecker interface {
	CheckQueue(ctx context.Context, q parley.Queue) (problem string, err error)
}

// ownQueues examines the retry queues and the parked queue of a consumer without a database.
func (d *doctor) ownQueues(ctx context.Context, own *settings.Queue) {
	checker, ok := d.s.Broker.(queueChecker)
	if !ok || d.inSQL() {
		return
	}
	for _, q := range parley.RetryTopology(own.Name, own.RetryDelays, nil).Queues {
		what := fmt.Sprintf("queue %q", q.Name)
		problem, err := checker.CheckQueue(ctx, q)
		refused, _ := errors.AsType[*parley.TopologyError](err)
		switch {
		case refused != nil && refused.Code == 404:
			d.fine(what, "does not exist yet: the consumer declares it at start-up")
		case err != nil:
			d.failed(what, err, "")
		case problem != "":
			d.problem(what, "can lose messages: "+problem,
				"stop the consumers, wait until the queue is empty and delete it: the consumer declares it again; or give the consumer a database (consumer.failures.store)")
		default:
			d.fine(what, "is as safe as this broker allows")
		}
	}
}

// parkedQueue warns of parked messages on the broker.
func (d *doctor) parkedQueue(ctx context.Context, b queueLength, queue string) {
	name := parley.ParkedQueue(queue)
	messages, _, err := b.QueueLen(ctx, name)
	if err != nil || messages == 0 {
		return // an error most likely means that there is no such queue
	}
	text := counted(int64(messages), "message is parked: its handler kept failing", "messages are parked: their handlers kept failing")
	hint := "list them with: parked ls"
	if d.inSQL() {
		hint += "; the consumer moves verified ones into the database at start-up"
	}
	d.warn(fmt.Sprintf("queue %q", name), text, hint)
}
