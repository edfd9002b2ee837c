package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

func (a *app) topologyCommand() *cobra.Command {
	plan := &cobra.Command{
		Use: "plan", Short: "tell what the settings want that the broker does not have", Args: NoArgs,
		Long: `Compares exchanges and queue with the broker, without changing anything. Bindings cannot be
seen over AMQP: they are listed as wanted. Exit code 1 if something is missing or differs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBroker(cmd, func(ctx context.Context, s *Service) error { return s.plan(ctx, cmd.OutOrStdout()) })
		},
	}
	apply := &cobra.Command{
		Use: "apply", Short: "declare exchanges, queue and bindings", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBroker(cmd, func(ctx context.Context, s *Service) error {
				t := s.Settings.topology()
				t.Mode = parley.TopologyDeclare // asked for, whatever the service itself does
				if err := s.Broker.Declare(ctx, t); err != nil {
					return err
				}
				report(cmd.OutOrStdout(), "declared %d exchanges, %d queues, %d bindings", len(t.Exchanges), len(t.Queues), len(t.Bindings))
				return nil
			})
		},
	}
	return group("topology", "compare and declare exchanges, queue and bindings", plan, apply)
}

// withBroker is with, for a broker that other processes see too.
func (a *app) withBroker(cmd *cobra.Command, do func(ctx context.Context, s *Service) error) error {
	return a.with(cmd, []string{"broker.url"}, func(ctx context.Context, s *Service) error {
		if isMemory(s.Settings.Broker.URL) {
			return s.separate(cmd.CommandPath())
		}
		return do(ctx, s)
	})
}

// plan looks for each exchange and queue by itself, so that each gets its own verdict.
func (s *Service) plan(ctx context.Context, w io.Writer) error {
	wanted := s.Settings.topology()
	missing := 0
	look := func(what string, t parley.Topology) error {
		t.Mode = parley.TopologyVerify
		err := s.Broker.Declare(ctx, t)
		problem, ok := errors.AsType[*parley.TopologyError](err)
		switch {
		case err == nil:
			report(w, "there     %s", what)
		case ok && problem.Code == 404:
			missing++
			report(w, "missing   %s", what)
		case ok:
			missing++
			report(w, "differs   %s: %s", what, printable(problem.Reason))
		default:
			return err
		}
		return nil
	}
	for _, e := range wanted.Exchanges {
		what := printable(fmt.Sprintf("exchange %s (%s)", e.Name, or(string(e.Type), "topic")))
		if err := look(what, parley.Topology{Exchanges: []parley.Exchange{e}}); err != nil {
			return err
		}
	}
	for _, q := range wanted.Queues {
		if err := look(printable("queue "+q.Name), parley.Topology{Queues: []parley.Queue{q}}); err != nil {
			return err
		}
	}
	for _, b := range wanted.Bindings {
		report(w, "wanted    %s", printable(fmt.Sprintf("binding of queue %s to exchange %s by %s", b.Queue, b.Exchange, or(b.RoutingKey, "#"))))
	}
	if missing > 0 {
		return &exitError{ExitFailed, fmt.Errorf("%d of %d are not as the settings want them", missing, len(wanted.Exchanges)+len(wanted.Queues))}
	}
	return nil
}
