package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

func (a *app) relayCommand() *cobra.Command {
	var once bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "relay", Short: "publish the records of the outbox", Args: NoArgs,
		Long: `Publishes the records of the outbox until it is stopped. Several relays may run. In the mode "ordered" one of them is active and
the others are on standby. With --once it publishes the due records and ends. It prints how many were delivered, dropped because no
queue is bound, parked, and kept in the outbox (relay.unroutable: retry). The exit code is 1 if any was dropped, parked or kept. It names
the exchanges that an operator has paused, and leaves their records in the outbox. If the whole relay is paused, it is an error.

With --django it publishes the outbox of a Django service (django-microservices-communication 2.4 to 2.6) in place of
manage.py runpublisher. Stop runpublisher first: it takes no locks, so that every event would be published twice. Set --app-id to APP_ID of
the Django project, whose default is the first part of DJANGO_SETTINGS_MODULE: the table does not contain it. Give each exchange of the project that
is not of the type topic with --exchange, so that the relay does not declare it as topic.`,
		Example: `  parley relay --django --app-id users --exchange audit:fanout --database-url postgres://relay@db/users --broker-url amqp://relay@mq/`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAccess(cmd, readWrite, []string{"database.url", "broker.url"}, func(ctx context.Context, s *service.Service) error {
				if err := separate(s.Settings, cmd.CommandPath()); err != nil {
					return err
				}
				warnWithoutAppID(s)
				if !once {
					return s.Run(ctx, service.PartRelay)
				}
				var result relayed
				err := drain(ctx, s, cmd, timeout, &result)
				report(cmd.OutOrStdout(), "%s", result.String())
				reportPaused(cmd.OutOrStdout(), s)
				if err == nil && result.dropped+result.parked+result.kept > 0 {
					err = &exitError{ExitFailed, nil}
				}
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

// relayed counts what relay --once did with the due records.
type relayed struct {
	delivered, dropped, parked, kept int
	unbound                          []string // addresses of unroutable records, at most maxUnbound
}

// reportPaused names the exchanges whose records stay in the outbox because an operator has paused them.
func reportPaused(w io.Writer, s *service.Service) {
	for _, p := range s.Control().Pauses() {
		if p.Part == parley.PauseRelay && p.Exchange != "" {
			name := terminal.Printable(p.Exchange)
			report(w, "not published: records of exchange %s, paused by an operator until %s (end the pause with: resume relay --exchange %s)",
				name, p.Until.UTC().Format(time.RFC3339), name)
		}
	}
}

// maxUnbound is how many addresses of unroutable records are named.
const maxUnbound = 5

// observe counts by hooks of the relay.
func (d *relayed) observe(s *service.Service) {
	s.RelayHooks = parley.RelayHooks{
		Batch:  func(b parley.BatchReport) { d.delivered += b.Accepted },
		Parked: func(parley.Record, string) { d.parked++ },
		Unroutable: func(r parley.Record, done parley.UnroutablePolicy) {
			switch done {
			case parley.UnroutableDrop:
				d.dropped++
			case parley.UnroutableRetry:
				d.kept++
			}
			if address := r.Exchange + "/" + r.RoutingKey; len(d.unbound) <= maxUnbound && !slices.Contains(d.unbound, address) {
				d.unbound = append(d.unbound, address)
			}
		},
	}.Then(s.RelayHooks)
}

// String returns a line such as: delivered 0, dropped 100000 (no queue bound: user/renamed), parked 2.
func (d *relayed) String() string {
	text := fmt.Sprintf("delivered %d, dropped %d", d.delivered, d.dropped)
	reason := ""
	if len(d.unbound) > 0 {
		named := strings.Join(d.unbound[:min(len(d.unbound), maxUnbound)], ", ")
		if len(d.unbound) > maxUnbound {
			named += " and others"
		}
		reason = " (no queue bound: " + terminal.Printable(named) + ")"
	}
	if d.dropped > 0 {
		text, reason = text+reason, ""
	}
	text += fmt.Sprintf(", parked %d", d.parked)
	if d.kept == 0 {
		text += reason
	}
	if d.kept > 0 {
		text += fmt.Sprintf(", kept %d", d.kept) + reason
	}
	return text
}

// brokerPatience is how long relay --once waits for the broker.
const brokerPatience = 15 * time.Second

// drain publishes the due records.
func drain(ctx context.Context, s *service.Service, cmd *cobra.Command, timeout time.Duration, result *relayed) error {
	if s.Settings.Database.Migrate {
		if err := s.Migrate(ctx); err != nil {
			return err
		}
	}
	moved := newProgress(cmd, "records moved")
	defer moved.end()
	result.observe(s)
	s.RelayHooks = parley.RelayHooks{Batch: func(b parley.BatchReport) { moved.add(b.Accepted) }}.Then(s.RelayHooks)
	relay, err := s.Relay()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("gave up after %v: broker or database unreachable or slow", timeout))
	defer cancel()
	if err := within(ctx, min(timeout, brokerPatience), func(ctx context.Context) error { return reach(ctx, s) }); err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	t := s.Settings.RelayTopology()
	if len(t.Exchanges) > 0 {
		if err := s.Broker.Declare(ctx, t); err != nil {
			return orCause(ctx, err)
		}
	}
	_, err = relay.Drain(ctx)
	return orCause(ctx, err)
}

// orCause returns the cause of ctx's end if ctx has ended, and err otherwise.
func orCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
