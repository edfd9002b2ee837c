package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

// drainConsumer handles the failed deliveries that wait in the database, and returns when none is left. Queues without a handler are
// skipped; if deliveries of theirs wait, that is an error.
func drainConsumer(ctx context.Context, s *service.Service, cmd *cobra.Command) error {
	if !s.Settings.FailuresInSQL() {
		return usage(cmd, fmt.Errorf("--drain needs failed deliveries in a database, but this consumer keeps them in queues (see consumer.failures.store)"))
	}
	handled := s.HandledQueues()
	consumers := map[string]*parley.Consumer{}
	for _, q := range handled {
		c, err := q.Consumer()
		if err != nil {
			return fmt.Errorf("queue %q: %w", q.Name, err)
		}
		consumers[q.Name] = c
	}
	failed := map[string]error{}
	err := parley.Run(ctx, parley.RunnerFunc(func(ctx context.Context) error {
		if err := s.Prepare(ctx); err != nil {
			return err
		}
		for _, q := range handled { // one after another
			if ctx.Err() == nil {
				failed[q.Name] = consumers[q.Name].Drain(ctx)
			}
		}
		return nil
	}))
	if err != nil {
		return err
	}
	for _, q := range s.Settings.RunQueues() {
		switch {
		case failed[q.Name] != nil:
			err = errors.Join(err, fmt.Errorf("queue %q: %w", q.Name, failed[q.Name]))
		default:
			err = errors.Join(err, drained(context.WithoutCancel(ctx), s, cmd, &q, consumers[q.Name] != nil))
		}
	}
	return err
}

// drained reports the rows of a queue's consumer that are left.
func drained(ctx context.Context, s *service.Service, cmd *cobra.Command, q *settings.Queue, handled bool) error {
	st, err := s.Database().Failures().Stats(ctx, q.ConsumerName)
	left := st.Waiting + st.Running
	switch {
	case err != nil:
		return fmt.Errorf("queue %q: %w", q.Name, err)
	case left > 0 && !handled:
		return fmt.Errorf("not drained: queue %q has no handler, %s of consumer %q waiting or running", q.Name, atMost(left), q.ConsumerName)
	case left > 0:
		return fmt.Errorf("drain interrupted: %s of consumer %q still waiting or running", atMost(left), q.ConsumerName)
	case handled:
		report(cmd.OutOrStdout(), "consumer %s drained; left: parked %s, behind a parked message of their key %s",
			terminal.Printable(q.ConsumerName), atMost(st.Parked), atMost(st.Behind))
	}
	return nil
}
