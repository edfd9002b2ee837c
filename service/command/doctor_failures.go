package command

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

// overdueLimit is how long a retry may be overdue before the doctor reports a problem.
const overdueLimit = time.Minute

// failures examines the table of failed deliveries: whether the consumer can use it, and the rows in it.
func (d *doctor) failures(ctx context.Context) {
	s := d.s.Settings
	own := ownConsumers(d.s)
	if len(own) == 0 {
		return // no consumer in these settings
	}
	if !s.FailuresInSQL() {
		d.warn("failed deliveries", "consumer.failures.store is queue, so retries and parked messages are on the broker although there is a database",
			"remove consumer.failures.store to keep failed deliveries in the database; docs/guarantees.md lists the limits of retry queues")
		return
	}
	store := d.s.Database().Failures()
	if err := store.Check(ctx); err != nil {
		d.failed("failed deliveries", err, "run: migrate up; and grant this account SELECT, INSERT, UPDATE and DELETE on the table")
		return
	}
	d.failureWarnings(ctx, store)
	states, err := consumerStates(ctx, store, own)
	if err != nil {
		d.failed("failed deliveries", err, "")
		return
	}
	for _, name := range own {
		d.fine("failed deliveries", "consumer %q can use the table", name)
	}
	for i := range states {
		d.consumerState(&states[i])
	}
}

// failureWarnings reports server settings that can lose committed rows or reject rows.
func (d *doctor) failureWarnings(ctx context.Context, store service.FailureStore) {
	list, err := store.Warnings(ctx)
	if err != nil {
		d.failed("failed deliveries", err, "")
	}
	for _, text := range list {
		d.problem("failed deliveries", text, "")
	}
}

// consumerState reports on the rows of one consumer.
func (d *doctor) consumerState(c *consumerState) {
	what := fmt.Sprintf("failed deliveries of consumer %q", c.name)
	d.fine(what, "waiting %s, behind others %s, running %s, parked %s", atMost(c.Waiting), atMost(c.Behind), atMost(c.Running), atMost(c.Parked))
	switch {
	case c.OldestWaiting > overdueLimit && c.own:
		d.problem(what, fmt.Sprintf("a retry is overdue for %v", c.OldestWaiting.Round(time.Second)), "is the consumer running, subscribed and not paused?")
	case c.OldestWaiting > overdueLimit:
		d.problem(what, fmt.Sprintf("a retry is overdue for %v; this is not the consumer of these settings", c.OldestWaiting.Round(time.Second)),
			fmt.Sprintf("run that consumer; after a rename, run: parked move --consumer %q NEW", c.name))
	}
	if c.Parked > 0 {
		d.warn(what, counted(c.Parked, "message is parked: its handler kept failing", "messages are parked: their handlers kept failing"), "list them with: parked ls")
	}
}

// otherConsumers looks for consumers of another library on a queue with retry queues: they drop retry copies.
func (d *doctor) otherConsumers(ctx context.Context, queue string) {
	if d.inSQL() {
		return // with a database there are no retry copies
	}
	n, err := parley.ForeignConsumers(ctx, d.s.Broker, queue)
	what := fmt.Sprintf("queue %q", queue)
	switch {
	case err != nil:
		d.failed(what, err, "")
	case n > 0 && d.s.Settings.TopologyMode() != parley.TopologyDeclare:
		// Consumers announce themselves with a queue of their own, which they declare only with topology declare.
		d.warn(what, counted(int64(n), "consumer may be of another library", "consumers may be of another library")+", cannot determine: consumers with topology "+d.s.Settings.Topology+" are not counted",
			"make sure that no consumer of the Python library is on this queue, because it drops every retry copy; or give the consumer a database")
	case n > 0:
		d.problem(what, counted(int64(n), "consumer is of another library", "consumers are of another library")+": a consumer of the Python library drops every retry copy",
			"give the consumer a database (consumer.failures.store), or stop the other consumers")
	}
}
