package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

func (a *app) relayCommand() *cobra.Command {
	var once bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "relay", Short: "publish the records of the outbox", Args: NoArgs,
		Long: `Publishes the records of the outbox until it is stopped. Several relays may run. In the mode "ordered" one of them is active and
the others are on standby. With --once it publishes the due records and ends.

With --django it publishes the outbox of a Django service (django-microservices-communication 2.4 to 2.6) in place of
manage.py runpublisher. Stop runpublisher first: it takes no locks, so that every event would be published twice. Set --app-id to APP_ID of
the Django project, whose default is the first part of DJANGO_SETTINGS_MODULE: the table does not contain it. Give each exchange of the project that
is not of the type topic with --exchange, so that the relay does not declare it as topic.`,
		Example: `  parley relay --django --app-id users --exchange audit:fanout --database-url postgres://relay@db/users --broker-url amqp://relay@mq/`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, []string{"database.url", "broker.url"}, func(ctx context.Context, s *service.Service) error {
				if err := separate(s.Settings, cmd.CommandPath()); err != nil {
					return err
				}
				warnWithoutAppID(s)
				if !once {
					return s.Run(ctx, service.PartRelay)
				}
				n, err := drain(ctx, s, cmd, timeout)
				report(cmd.OutOrStdout(), "moved %s", plural(n, "record"))
				return err
			})
		},
	}
	c.Flags().BoolVar(&once, "once", false, "publish the due records, then end")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "timeout of --once")
	settings.AddFlag(c.Flags(), "mode", "relay.mode", "ordered or parallel")
	settings.AddFlag(c.Flags(), "django", "database.table", "publish the outbox table of a Django service")
	settings.AddListFlag(c.Flags(), "exchange", "exchanges", "an exchange and its type, such as audit:fanout; may be repeated")
	c.Flags().Lookup("django").NoOptDefVal = service.DjangoTable
	return c
}

// warnWithoutAppID warns of messages that differ from those of runpublisher.
func warnWithoutAppID(s *service.Service) {
	if s.Settings.Database.Table != "" && s.Settings.AppID == "" {
		s.Logger.Warn("relay: app_id is not set, so messages have none, unlike those of runpublisher",
			"hint", "set app_id (--app-id) to APP_ID of the Django project; its default is the first part of DJANGO_SETTINGS_MODULE")
	}
}

// drain publishes the due records.
func drain(ctx context.Context, s *service.Service, cmd *cobra.Command, timeout time.Duration) (int, error) {
	if s.Settings.Database.Migrate {
		if err := s.Migrate(ctx); err != nil {
			return 0, err
		}
	}
	moved := newProgress(cmd, "records moved")
	defer moved.end()
	s.RelayHooks = parley.RelayHooks{Batch: func(b parley.BatchReport) { moved.add(b.Accepted) }}.Then(s.RelayHooks)
	relay, err := s.Relay()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("gave up after %v: broker or database unreachable or slow", timeout))
	defer cancel()
	t := s.Settings.RelayTopology()
	if len(t.Exchanges) > 0 {
		if err := s.Broker.Declare(ctx, t); err != nil {
			return 0, orCause(ctx, err)
		}
	}
	n, err := relay.Drain(ctx)
	return n, orCause(ctx, err)
}

// orCause returns the cause of ctx's end if ctx has ended, and err otherwise.
func orCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
