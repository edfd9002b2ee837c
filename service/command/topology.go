package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
)

func (a *app) topologyCommand() *cobra.Command {
	plan := &cobra.Command{
		Use: "plan", Short: "compare exchanges and queue with the broker", Args: NoArgs,
		Long: `Compares exchanges and queues of the settings with the broker. It changes nothing. AMQP cannot show bindings, so they are
listed as wanted. The exit code is 1 if an exchange or a queue is missing or differs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBroker(cmd, func(ctx context.Context, s *service.Service) error { return plan(ctx, s, cmd.OutOrStdout()) })
		},
	}
	apply := &cobra.Command{
		Use: "apply", Short: "declare exchanges, queue and bindings", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBroker(cmd, func(ctx context.Context, s *service.Service) error {
				t := s.Topology()
				t.Mode = parley.TopologyDeclare // whatever the setting topology says
				if err := s.Broker.Declare(ctx, t); err != nil {
					return err
				}
				report(cmd.OutOrStdout(), "declared %s, %s, %s", plural(len(t.Exchanges), "exchange"), plural(len(t.Queues), "queue"), plural(len(t.Bindings), "binding"))
				return nil
			})
		},
	}
	return group("topology", "compare and declare exchanges, queue and bindings", plan, apply)
}

// withBroker is with, and rejects a memory: broker.
func (a *app) withBroker(cmd *cobra.Command, do func(ctx context.Context, s *service.Service) error) error {
	return a.with(cmd, []string{"broker.url"}, func(ctx context.Context, s *service.Service) error {
		if s.Settings.Broker.URL.IsMemory() {
			return separate(s.Settings, cmd.CommandPath())
		}
		if err := a.bound(s); err != nil {
			return err
		}
		return do(ctx, s)
	})
}

// bound registers the handlers if a binding depends on them.
func (a *app) bound(s *service.Service) error {
	for _, q := range s.Settings.RunQueues() {
		switch {
		case !q.BindsAuto():
		case a.register == nil:
			return fmt.Errorf("queue %q has binds: auto, which depends on the handlers (use the binary of the service, or list the bindings)", q.Name)
		default:
			return a.handlers(s)
		}
	}
	return nil
}

// plan checks each exchange and queue separately, so that each gets a result of its own.
func plan(ctx context.Context, s *service.Service, w io.Writer) error {
	wanted := s.Topology()
	missing := 0
	look := func(what string, t parley.Topology) error {
		t.Mode = parley.TopologyVerify
		err := s.Broker.Declare(ctx, t)
		problem, ok := errors.AsType[*parley.TopologyError](err)
		switch {
		case err == nil:
			report(w, "exists    %s", what)
		case ok && problem.Code == 404:
			missing++
			report(w, "missing   %s", what)
		case ok:
			missing++
			report(w, "differs   %s: %s", what, terminal.Printable(problem.Reason))
		default:
			return err
		}
		return nil
	}
	for _, e := range wanted.Exchanges {
		what := terminal.Printable(fmt.Sprintf("exchange %s (%s)", e.Name, cmp.Or(string(e.Type), "topic")))
		if err := look(what, parley.Topology{Exchanges: []parley.Exchange{e}}); err != nil {
			return err
		}
	}
	for _, q := range wanted.Queues {
		if err := look(terminal.Printable("queue "+q.Name), parley.Topology{Queues: []parley.Queue{q}}); err != nil {
			return err
		}
	}
	for _, b := range wanted.Bindings {
		report(w, "wanted    %s", terminal.Printable(fmt.Sprintf("binding of queue %s to exchange %s by %s", b.Queue, b.Exchange, cmp.Or(b.RoutingKey, "#"))))
	}
	if missing > 0 {
		return &exitError{ExitFailed, fmt.Errorf("%d of %d exchanges and queues are missing or differ from the settings", missing, len(wanted.Exchanges)+len(wanted.Queues))}
	}
	return nil
}
