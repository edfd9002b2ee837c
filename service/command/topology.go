package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
)

func (a *app) topologyCommand() *cobra.Command {
	var o output.Options
	var timeout time.Duration
	plan := &cobra.Command{
		Use: "plan", Short: "compare exchanges and queue with the broker", Args: NoArgs,
		Long: `Compares exchanges and queues of the settings with the broker. It changes nothing. AMQP cannot show bindings, so they are
listed as wanted. The exit code is 1 if an exchange or a queue is missing or differs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			return a.withBindings(cmd, func(ctx context.Context, s *service.Service) error {
				p := &planned{s: s, list: o.List(cmd.OutOrStdout(), output.Columns("STATE", "KIND", "NAME", "DETAIL")...)}
				return within(ctx, timeout, p.run)
			})
		},
	}
	o.Add(plan)
	apply := &cobra.Command{
		Use: "apply", Short: "declare exchanges, queue and bindings", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBindings(cmd, func(ctx context.Context, s *service.Service) error {
				t := s.Topology()
				t.Mode = parley.TopologyDeclare // whatever the setting topology says
				if err := within(ctx, timeout, func(ctx context.Context) error { return s.Broker.Declare(ctx, t) }); err != nil {
					return err
				}
				report(cmd.OutOrStdout(), "declared %s, %s, %s", plural(len(t.Exchanges), "exchange"), plural(len(t.Queues), "queue"), plural(len(t.Bindings), "binding"))
				return nil
			})
		},
	}
	for _, c := range []*cobra.Command{plan, apply} {
		c.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "timeout for the broker")
	}
	return group("topology", "compare and declare exchanges, queue and bindings", plan, apply)
}

// withBroker is with, and rejects a memory: broker.
func (a *app) withBroker(cmd *cobra.Command, do func(ctx context.Context, s *service.Service) error) error {
	return a.with(cmd, []string{"broker.url"}, func(ctx context.Context, s *service.Service) error {
		if s.Settings.Broker.URL.IsMemory() {
			return separate(s.Settings, cmd.CommandPath())
		}
		if err := within(ctx, loginTimeout, func(ctx context.Context) error { return reach(ctx, s) }); err != nil {
			return err
		}
		return do(ctx, s)
	})
}

// withBindings is withBroker, and registers the handlers if a binding depends on them.
func (a *app) withBindings(cmd *cobra.Command, do func(ctx context.Context, s *service.Service) error) error {
	return a.withBroker(cmd, func(ctx context.Context, s *service.Service) error {
		if err := a.bound(s); err != nil {
			return err
		}
		return do(ctx, s)
	})
}

// within calls do with a timeout, which is the error if it passes.
func within(ctx context.Context, timeout time.Duration, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("gave up after %v: the broker is unreachable or slow (see --timeout, and run: doctor)", timeout))
	defer cancel()
	return orCause(ctx, do(ctx))
}

// reach logs in to the broker. The broker's own connections retry without end, also after a refused login; a command ends at once, with
// the doctor's text.
func reach(ctx context.Context, s *service.Service) error {
	state, has := s.Broker.(interface{ State() rabbitmq.State })
	server, can := s.Broker.(parley.Diagnoser)
	if !has || !can {
		return nil
	}
	ready := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { ready <- s.Broker.Ready(ctx) }() // ends with ctx at the latest; ready has room
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ready:
			return err
		case <-tick.C:
		}
		if state.State().Failure == nil {
			continue
		}
		var errs []error
		for _, f := range server.Diagnose(ctx) {
			switch f.Level {
			case parley.FindingFine:
				return <-ready // another node, or the second attempt
			case parley.FindingProblem:
				errs = append(errs, fmt.Errorf("broker: %s (%s)", f.Detail, f.Hint))
			}
		}
		return errors.Join(errs...)
	}
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

// compare returns nil if an exchange or a queue exists with the arguments and the type of the settings. AMQP compares those only with
// a declaration, so compare declares what exists already. With Mode TopologyVerify it checks the existence only.
func compare(ctx context.Context, s *service.Service, t parley.Topology) error {
	existence := t.Mode == parley.TopologyVerify
	t.Mode = parley.TopologyVerify
	err := s.Broker.Declare(ctx, t)
	if err != nil || existence {
		return err
	}
	t.Mode = parley.TopologyDeclare
	err = s.Broker.Declare(ctx, t)
	if refused, ok := errors.AsType[*parley.TopologyError](err); ok && refused.Code == 403 {
		return nil // it exists; this user may not declare it
	}
	return err
}

// boundOnly returns the exchanges that bindings name and that are not declared by these settings.
func boundOnly(t parley.Topology) []string {
	var out []string
	for _, b := range t.Bindings {
		declared := slices.ContainsFunc(t.Exchanges, func(e parley.Exchange) bool { return e.Name == b.Exchange })
		if !declared && !slices.Contains(out, b.Exchange) {
			out = append(out, b.Exchange)
		}
	}
	return out
}

// A planned is a comparison of the settings with the broker.
type planned struct {
	s       *service.Service
	list    *output.List
	missing int
}

// run checks each exchange and queue separately, so that each gets a result of its own.
func (p *planned) run(ctx context.Context) error {
	wanted := p.s.Topology()
	err := p.look(ctx, &wanted)
	if closeErr := p.list.Close(); err == nil {
		err = closeErr
	}
	if err == nil && p.missing > 0 {
		err = &exitError{ExitFailed, fmt.Errorf("%d of %d exchanges and queues are missing or differ from the settings", p.missing, len(wanted.Exchanges)+len(boundOnly(wanted))+len(wanted.Queues))}
	}
	return err
}

func (p *planned) look(ctx context.Context, wanted *parley.Topology) error {
	for _, e := range wanted.Exchanges {
		if err := p.compare(ctx, "exchange", e.Name, "type "+cmp.Or(string(e.Type), "topic"), parley.Topology{Exchanges: []parley.Exchange{e}}); err != nil {
			return err
		}
	}
	for _, name := range boundOnly(*wanted) {
		t := parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: name}}}
		if err := p.compare(ctx, "exchange", name, "of a binding", t); err != nil {
			return err
		}
	}
	for _, q := range wanted.Queues {
		if err := p.compare(ctx, "queue", q.Name, "", parley.Topology{Queues: []parley.Queue{q}}); err != nil {
			return err
		}
	}
	for _, b := range wanted.Bindings {
		if err := p.add("wanted", "binding", b.Queue, fmt.Sprintf("to exchange %s by %s", b.Exchange, cmp.Or(b.RoutingKey, "#"))); err != nil {
			return err
		}
	}
	return nil
}

// compare adds the state of one exchange or queue.
func (p *planned) compare(ctx context.Context, kind, name, detail string, t parley.Topology) error {
	err := compare(ctx, p.s, t)
	problem, refused := errors.AsType[*parley.TopologyError](err)
	switch {
	case err == nil:
		return p.add("exists", kind, name, detail)
	case refused && problem.Code == 404:
		p.missing++
		return p.add("missing", kind, name, detail)
	case refused:
		p.missing++
		return p.add("differs", kind, name, problem.Reason)
	}
	return err
}

func (p *planned) add(state, kind, name, detail string) error {
	return p.list.Add(object{"state": state, "kind": kind, "name": name, "detail": detail}, state, kind, name, detail)
}
