package service

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "run relay, consumer and health endpoints together", Args: NoArgs,
		Long: `Runs the relay, the consumer and, with http.address, the health endpoints in one process.
A service without a database has no relay, one without a handler has no consumer.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHandlers(cmd, []string{"broker.url"}, func(ctx context.Context, s *Service) error {
				parts, err := s.parts()
				if err != nil {
					return err
				}
				return s.Run(ctx, parts)
			})
		},
	}
}

// parts are those that the service has.
func (s *Service) parts() (Part, error) {
	var parts Part
	if s.db != nil {
		parts |= PartRelay
	}
	switch {
	case len(s.Router.Routes()) > 0:
		parts |= PartConsumer
	default:
		s.Logger.Warn("service: no handler is registered, so there is no consumer")
	}
	if parts == 0 {
		return 0, fmt.Errorf("there is nothing to run: no handler is registered, and no database has an outbox to relay: %w", s.Settings.need("database.url"))
	}
	return parts, nil
}

func (a *app) consumerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "consumer", Short: "handle the messages of the queue", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHandlers(cmd, []string{"broker.url", "queue"}, func(ctx context.Context, s *Service) error {
				if isMemory(s.Settings.Broker.URL) {
					return s.separate(cmd.CommandPath())
				}
				return s.Run(ctx, PartConsumer)
			})
		},
	}
}

// withHandlers is with, after the handlers were registered.
func (a *app) withHandlers(cmd *cobra.Command, keys []string, do func(ctx context.Context, s *Service) error) error {
	return a.with(cmd, keys, func(ctx context.Context, s *Service) error {
		if err := a.register(s); err != nil {
			return fmt.Errorf("register handlers: %w", err)
		}
		return do(ctx, s)
	})
}

func (a *app) routesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "routes", Short: "show what handles what, and which binding feeds it", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHandlers(cmd, nil, func(_ context.Context, s *Service) error {
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "EXCHANGE\tROUTING KEY\tHANDLER\tFED BY")
				for _, r := range s.Router.Routes() {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", printable(r.Exchange), printable(r.Pattern), r.Place, s.fedBy(&r))
				}
				return tw.Flush()
			})
		},
	}
}

// fedBy names the bindings that may bring a route its messages.
func (s *Service) fedBy(r *parley.Route) string {
	fed := ""
	for _, b := range s.Settings.Binds {
		if r.Exchange == parley.AnyExchange || b.Exchange == r.Exchange && overlap(or(b.RoutingKey, "#"), r.Pattern) {
			if fed != "" {
				fed += ", "
			}
			fed += b.Exchange + ":" + or(b.RoutingKey, "#")
		}
	}
	if fed == "" {
		return "no binding of the settings"
	}
	return printable(fed)
}
