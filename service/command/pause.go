package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/spelling"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

const pauseHelp = `The pause is in the database: it holds for every process of the service within a second, also after a restart, and ends by itself after --for.
Readiness checks, check, log and metrics show it.`

func (a *app) pauseCommand() *cobra.Command {
	c := group("pause", "stop the relay or a consumer for a while", a.pauseRelay(true), a.pauseConsumer(true))
	c.Long = "Stops the relay or a consumer for a while. " + pauseHelp
	return c
}

func (a *app) resumeCommand() *cobra.Command {
	return group("resume", "end a pause of the relay or of a consumer", a.pauseRelay(false), a.pauseConsumer(false))
}

// A pauseRequest is a pause, or the end of one.
type pauseRequest struct {
	parley.Pause
	begin  bool
	length time.Duration
}

func (r *pauseRequest) command(use, pause, resume, long string) *cobra.Command {
	c := &cobra.Command{Use: use, Short: resume, Args: NoArgs}
	if r.begin {
		c.Short, c.Long = pause, long+"\n\n"+pauseHelp
		c.Flags().DurationVar(&r.length, "for", 0, "how long, such as 30m, at most 720h; required")
	}
	c.Flags().StringVar(&r.Reason, "reason", "", "why, for the action log")
	return c
}

func (a *app) pauseRelay(begin bool) *cobra.Command {
	r := &pauseRequest{Pause: parley.Pause{Part: parley.PauseRelay}, begin: begin}
	c := r.command("relay", "leave records in the outbox", "publish the records of the outbox again",
		"Leaves the records of an exchange, or of all, in the outbox. Records of other exchanges are published. Each exchange keeps its order.")
	c.Flags().StringVar(&r.Exchange, "exchange", "", "only this exchange (default: a pause of all)")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.change(cmd, r) }
	return c
}

func (a *app) pauseConsumer(begin bool) *cobra.Command {
	r := &pauseRequest{Pause: parley.Pause{Part: parley.PauseConsumer}, begin: begin}
	c := r.command("consumer", "stop handling the messages of a queue, or of a routing key", "handle the messages of a paused queue or routing key again",
		`With --queue no process subscribes to the queue; handlers that are running finish. With --routing-key the consumers move matching
messages to the table of failed deliveries, in the order of their ordering keys, and handle them after the pause. Messages of other routing
keys are handled, unless they have the ordering key of a message that waits.`)
	c.Flags().StringVar(&r.Queue, "queue", "", "this queue (default: the queue of the settings, without --routing-key)")
	c.Flags().StringVar(&r.RoutingKey, "routing-key", "", "messages with a routing key of this pattern, as in a binding: * for a word, # for any words")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.change(cmd, r) }
	return c
}

// change begins or ends a pause.
func (a *app) change(cmd *cobra.Command, r *pauseRequest) error {
	switch {
	case r.begin && (r.length <= 0 || r.length > parley.PauseLimit):
		return usage(cmd, fmt.Errorf("give the length of the pause with --for, such as --for 30m, at most %s", parley.PauseLimit))
	case r.Queue != "" && r.RoutingKey != "":
		return usage(cmd, errors.New("give --queue or --routing-key, not both"))
	}
	return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
		if r.Part == parley.PauseConsumer && r.Queue == "" && r.RoutingKey == "" {
			queues := s.Settings.RunQueues()
			if len(queues) != 1 {
				return usage(cmd, errors.New("give --queue or --routing-key: the settings do not have exactly one queue"))
			}
			r.Queue = queues[0].Name
		}
		if r.RoutingKey != "" && r.begin {
			if err := s.Database().Failures().Check(ctx); err != nil {
				return fmt.Errorf("a pause by routing key needs the table of failed deliveries (use --queue instead): %w", err)
			}
		}
		ctx = asOperator(ctx, r.Reason, 0)
		if r.begin {
			p, err := s.Database().SetPause(ctx, r.Pause, r.length)
			if err == nil {
				report(cmd.OutOrStdout(), "paused %s", terminal.Printable(p.Text()))
				noteUnknown(cmd.ErrOrStderr(), s.Settings, &r.Pause)
			}
			return err
		}
		p, n, err := parley.Resume(ctx, s.Database(), s.Database().Failures(), r.Pause)
		if err != nil {
			return err
		}
		report(cmd.OutOrStdout(), "resumed %s", terminal.Printable(p.String()))
		if p.RoutingKey != "" {
			report(cmd.OutOrStdout(), "%s due again", counted(int64(n), "message is", "messages are"))
		}
		return nil
	})
}

// noteUnknown warns of a pause of an exchange or queue that the settings do not have: its name may be misspelled. It may also be right,
// because publishers need no setting for an exchange, and another process of the database can have the queue.
func noteUnknown(w io.Writer, s *settings.Settings, p *parley.Pause) {
	kind, name := "exchange", p.Exchange
	var known []string
	for _, e := range s.Exchanges {
		known = append(known, e.Name)
	}
	for _, q := range s.RunQueues() {
		for _, b := range q.Binds {
			known = append(known, b.Exchange)
		}
	}
	if p.Queue != "" {
		kind, name, known = "queue", p.Queue, nil
		for _, q := range s.RunQueues() {
			known = append(known, q.Name)
		}
	}
	if name == "" || len(known) == 0 || slices.Contains(known, name) {
		return
	}
	hint := ""
	if near := spelling.Nearest(name, known); near != "" {
		hint = fmt.Sprintf(": did you mean %s?", near)
	}
	report(w, "warning: the settings have no %s %q%s", kind, name, hint)
}

func (a *app) pausesCommand() *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use: "pauses", Short: "list what is paused, by whom, why and until when", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				found, err := s.Database().Pauses(ctx)
				if err != nil {
					return err
				}
				return printPauses(cmd.OutOrStdout(), &o, found)
			})
		},
	}
	o.Add(c)
	return c
}

func printPauses(w io.Writer, o *output.Options, list []parley.Pause) error {
	table := o.List(w, output.Columns("PAUSED", "UNTIL", "LEFT", "SINCE", "BY", "REASON")...).WhenEmpty("nothing is paused")
	for i := range list {
		p := &list[i]
		err := table.Add(pauseObject(p), p.String(), p.Until.Format(time.RFC3339), p.Left.Round(time.Second).String(), p.CreatedAt.Format(time.RFC3339),
			p.By+"@"+p.Host, p.Reason)
		if err != nil {
			return err
		}
	}
	return table.Close()
}

func pauseObject(p *parley.Pause) object {
	kind, name := p.Scope()
	return object{
		"id": p.ID, "part": string(p.Part), "scope": kind, "name": name, "until": p.Until, "left_seconds": p.Left.Seconds(),
		"since": p.CreatedAt, "by": p.By, "host": p.Host, "reason": p.Reason,
	}
}
