package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

func (a *app) parkedMove() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "move --consumer OLD NEW", Short: "move the failed deliveries of one consumer to another, after a rename",
		Long: `Moves the failed deliveries of one consumer, pending retries and parked ones, to another consumer. Use it after a change of
queue or consumer.name. Deliveries that are being handled are not moved: stop the old consumer first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case from == "" || len(args) != 1 || args[0] == "":
				return usage(cmd, errors.New("give the old name with --consumer, and the new name as the argument"))
			case from == args[0]:
				return usage(cmd, fmt.Errorf("%q is both the old and the new name", from))
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				store := s.Database().Failures()
				n, err := store.Move(asOperator(ctx, "", 0), from, args[0])
				if err != nil {
					return err
				}
				report(cmd.OutOrStdout(), "moved %d", n)
				left, err := store.Stats(ctx, from)
				if err != nil {
					return err
				}
				if left.Running > 0 {
					return fmt.Errorf("not moved: %s of consumer %q being handled (is the old consumer still running?)", plural(int(left.Running), "row"), from)
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&from, "consumer", "", "the old name of the consumer")
	return c
}

func (a *app) parkedReturn() *cobra.Command {
	var f parkedFlags
	var toQueue, force bool
	c := &cobra.Command{
		Use: "return --to-queue", Short: "publish failed deliveries in the database to their queue", Args: NoArgs,
		Long: `Publishes the failed deliveries of the consumer of the settings to its queue, as signed retry copies. It deletes each from the
database after the broker has confirmed the copy. Use it before the consumer continues without a database (consumer.failures.store:
queue). With --waiting it returns only pending retries; parked messages stay.

Only consumers of parley understand a retry copy. A consumer of the Python library finds no handler for it and drops it. So the
command fails while other consumers are on the queue. Before a return to Python, run "consumer --drain" instead.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !toQueue {
				return usage(cmd, errors.New("--to-queue is required: it confirms that the messages go to the consumer's queue"))
			}
			if err := f.parse(cmd, nil); err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				if err := s.Settings.Need("broker.url", "queue"); err != nil {
					return err
				}
				if s.Settings.Broker.URL.IsMemory() {
					return separate(s.Settings, cmd.CommandPath())
				}
				queue, err := queueOf(s, f.consumer)
				if err != nil {
					return usage(cmd, err)
				}
				if err := refuseOtherConsumers(ctx, s, queue.Name, force); err != nil {
					return err
				}
				return returnToQueue(ctx, s, cmd, &f, queue)
			})
		},
	}
	c.Flags().BoolVar(&toQueue, "to-queue", false, "return the messages to the consumer's queue (required)")
	c.Flags().BoolVar(&force, "force", false, "also while other consumers are on the queue")
	c.Flags().BoolVar(&f.waiting, "waiting", false, "only pending retries, not parked messages")
	c.Flags().StringVar(&f.consumer, "consumer", "", "failed deliveries of this consumer (default: the consumer of the settings)")
	return c
}

// queueOf returns the queue of a consumer of the settings. Without a name, or with a name that no queue has, there must be one queue.
func queueOf(s *service.Service, consumer string) (settings.Queue, error) {
	run := s.Settings.RunQueues()
	for _, q := range run {
		if q.ConsumerName == consumer {
			return q, nil
		}
	}
	if len(run) != 1 {
		return settings.Queue{}, errors.New("the settings have several queues (select one with --queue)")
	}
	return run[0], nil
}

func returnToQueue(ctx context.Context, s *service.Service, cmd *cobra.Command, f *parkedFlags, queue settings.Queue) error {
	q := parley.FailureQuery{Consumer: cmp.Or(f.consumer, queue.ConsumerName)}
	if f.waiting {
		q.States = []parley.FailureState{parley.FailureWaiting, parley.FailureBehind, parley.FailureRunning}
	}
	ctx, err := loggedReturn(ctx, s, q, queue.Name)
	if err != nil {
		return err
	}
	done, err := parley.ReturnFailures(ctx, s.Broker, s.Database().Failures(), q, parley.ReturnOptions{Queue: queue.Name, Secrets: s.Settings.ConsumerSecrets()})
	report(cmd.OutOrStdout(), "returned %d to queue %s", done.Returned, terminal.Printable(queue.Name))
	if done.Running > 0 {
		err = errors.Join(err, fmt.Errorf("not returned: %s being handled (stop the consumer, wait 30 s and repeat the command)", plural(done.Running, "message")))
	}
	return err
}

// loggedReturn returns a context whose changes count in one entry of the action log. The store counts a row in the transaction that deletes it.
func loggedReturn(ctx context.Context, s *service.Service, q parley.FailureQuery, queue string) (context.Context, error) {
	actor := operator("", 0)
	id, err := s.Database().LogAction(ctx, parley.Action{
		Name: parley.ActionReturn, By: actor.Name, Host: actor.Host, Filter: q.String() + " to_queue=" + queue,
	})
	if err != nil {
		return ctx, err
	}
	return asOperator(ctx, "", id), nil
}

// refuseOtherConsumers returns an error if another library's consumer may be on the queue, because it would drop retry copies.
func refuseOtherConsumers(ctx context.Context, s *service.Service, queue string, force bool) error {
	if force {
		return nil
	}
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	n, err := parley.ForeignConsumers(look, s.Broker, queue)
	switch {
	case err != nil:
		return fmt.Errorf("%w (use --force to skip this check)", err)
	case n > 0:
		return fmt.Errorf("queue %q has %s of another library, or of parley with a database; consumers of the Python library drop retry copies (stop them, or use --force if all are parley's)",
			queue, plural(n, "consumer"))
	}
	return nil
}
