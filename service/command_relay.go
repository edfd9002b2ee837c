package service

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) relayCommand() *cobra.Command {
	var once bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "relay", Short: "move events from the outbox to the broker", Args: NoArgs,
		Long: `Moves events from the outbox to the broker until it is stopped. Any number of relays may run:
with the mode "ordered" one of them is active and the others stand by.
With --once it moves what is due and ends. With --django it drains the outbox of a Django service
(django-microservices-communication 2.4 to 2.6), in place of manage.py runpublisher: stop that one first,
as it takes no locks and would send everything twice.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, []string{"database.url", "broker.url"}, func(ctx context.Context, s *Service) error {
				if err := s.separate(cmd.CommandPath()); err != nil {
					return err
				}
				if !once {
					return s.Run(ctx, PartRelay)
				}
				n, err := s.drain(ctx, timeout)
				report(cmd.OutOrStdout(), "moved %d records", n)
				return err
			})
		},
	}
	c.Flags().BoolVar(&once, "once", false, "move what is due, then end")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "with --once: give up after this time")
	addSetting(c.Flags(), "mode", "relay.mode", "ordered or parallel")
	addSetting(c.Flags(), "django", "database.table", "drain the table of a Django service")
	c.Flags().Lookup("django").NoOptDefVal = djangoTable
	return c
}

// drain moves what is due.
func (s *Service) drain(ctx context.Context, timeout time.Duration) (int, error) {
	if s.Settings.Database.Migrate {
		if err := s.Migrate(ctx); err != nil {
			return 0, err
		}
	}
	relay, err := s.Relay()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("gave up after %v: broker or database did not answer in time", timeout))
	defer cancel()
	t := s.Settings.relayTopology()
	if len(t.Exchanges) > 0 {
		if err := s.Broker.Declare(ctx, t); err != nil {
			return 0, orCause(ctx, err)
		}
	}
	n, err := relay.Drain(ctx)
	return n, orCause(ctx, err)
}

// orCause returns why ctx has ended, if it has.
func orCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
