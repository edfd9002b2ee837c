package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
)

func (a *app) logCommand() *cobra.Command {
	var q parley.ActionQuery
	var o output.Options
	c := &cobra.Command{
		Use: "log", Short: "list what operators did: replays, drops, edits, pauses", Args: NoArgs,
		Long: `Lists the actions of operators, the newest first: who, when, what, how many messages, and why. An action is written in the
transaction of the change itself. With --id it shows one action, with both bodies of an edit.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				found, err := s.Database().Actions(ctx, q)
				if err != nil {
					return err
				}
				if q.ID != 0 && len(found) == 0 {
					return fmt.Errorf("no action %d", q.ID)
				}
				return printActions(cmd.OutOrStdout(), &o, found, q.ID != 0)
			})
		},
	}
	c.Flags().IntVar(&q.Limit, "limit", 50, "most actions to list, at most 1000")
	c.Flags().Int64Var(&q.Before, "before", 0, "only actions with a smaller id: the next page")
	c.Flags().Int64Var(&q.ID, "id", 0, "only this action, with the bodies of an edit")
	c.Flags().BoolVar(&q.Running, "running", false, "only actions that have not ended, such as replays that can be continued")
	o.Add(c)
	return c
}

func printActions(w io.Writer, o *output.Options, list []parley.Action, bodies bool) error {
	table := o.List(w, output.Columns("ID", "TIME", "BY", "ACTION", "MESSAGES", "STATE", "FILTER", "REASON")...).WhenEmpty("no actions found")
	for i := range list {
		p := &list[i]
		err := table.Add(actionObject(p, bodies), fmt.Sprint(p.ID), p.At.Format(time.RFC3339), p.By+"@"+p.Host, p.Name, changedOf(p), p.State, p.Filter, p.Reason)
		if err != nil {
			return err
		}
	}
	if err := table.Close(); err != nil || !bodies || o.Structured() {
		return err
	}
	for i := range list {
		p := &list[i]
		if p.Detail != "" {
			report(w, "detail: %s", terminal.Printable(p.Detail))
		}
		if p.Before != nil || p.After != nil {
			report(w, "before: %s\nafter:  %s", terminal.Printable(string(p.Before)), terminal.Printable(string(p.After)))
		}
	}
	return nil
}

// changedOf returns how many messages an action has changed, of how many it began with.
func changedOf(a *parley.Action) string {
	if a.Total == 0 {
		return fmt.Sprint(a.Changed)
	}
	return fmt.Sprintf("%d of %s", a.Changed, atMost(a.Total))
}

func actionObject(a *parley.Action, bodies bool) object {
	o := object{
		"id": a.ID, "time": a.At, "by": a.By, "host": a.Host, "reason": a.Reason, "action": a.Name, "filter": a.Filter,
		"messages": a.Changed, "state": a.State, "total": a.Total, "detail": a.Detail,
	}
	if bodies {
		o["before"], o["after"] = string(a.Before), string(a.After)
	}
	return o
}
