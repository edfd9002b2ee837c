package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

// drainConsumer handles the failed deliveries that wait in the database, and returns when none is left.
func drainConsumer(ctx context.Context, s *service.Service, cmd *cobra.Command) error {
	if !s.Settings.FailuresInSQL() {
		return usage(cmd, fmt.Errorf("--drain needs failed deliveries in a database, but this consumer keeps them in queues (see consumer.failures.store)"))
	}
	var consumers []*parley.Consumer
	for _, q := range s.Queues() {
		c, err := q.Consumer()
		if err != nil {
			return err
		}
		consumers = append(consumers, c)
	}
	err := parley.Run(ctx, parley.RunnerFunc(func(ctx context.Context) error {
		err := s.Prepare(ctx)
		for _, c := range consumers { // one after another
			if err == nil && ctx.Err() == nil {
				err = c.Drain(ctx)
			}
		}
		return err
	}))
	if err != nil {
		return err
	}
	for _, name := range ownConsumers(s) {
		err = errors.Join(err, drained(context.WithoutCancel(ctx), s, name, cmd))
	}
	return err
}

// drained reports the rows of a consumer that are left.
func drained(ctx context.Context, s *service.Service, name string, cmd *cobra.Command) error {
	st, err := s.Database().Failures().Stats(ctx, name)
	if err != nil {
		return err
	}
	if st.Waiting+st.Running > 0 {
		return fmt.Errorf("drain interrupted: %s of consumer %q still waiting or running", atMost(st.Waiting+st.Running), name)
	}
	report(cmd.OutOrStdout(), "drained; left: parked %s, behind a parked message of their key %s", atMost(st.Parked), atMost(st.Behind))
	return nil
}
