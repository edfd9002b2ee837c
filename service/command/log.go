package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
)

func (a *app) logCommand() *cobra.Command {
	var q parley.ActionQuery
	var asJSON bool
	c := &cobra.Command{
		Use: "log", Short: "list what operators did: replays, drops, edits, pauses", Args: NoArgs,
		Long: `Lists the actions of operators, the newest first: who, when, what, how many messages, and why. An action is written in the
transaction of the change itself. With --id it shows one action, with both bodies of an edit.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				found, err := s.Database().Actions(ctx, q)
				if err != nil {
					return err
				}
				if q.ID != 0 && len(found) == 0 {
					return fmt.Errorf("no action %d", q.ID)
				}
				return printActions(cmd.OutOrStdout(), found, asJSON, q.ID != 0)
			})
		},
	}
	c.Flags().IntVar(&q.Limit, "limit", 50, "most actions to list, at most 1000")
	c.Flags().Int64Var(&q.Before, "before", 0, "only actions with a smaller id: the next page")
	c.Flags().Int64Var(&q.ID, "id", 0, "only this action, with the bodies of an edit")
	c.Flags().BoolVar(&q.Running, "running", false, "only actions that have not ended, such as replays that can be continued")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return c
}

func printActions(w io.Writer, list []parley.Action, asJSON, bodies bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		for i := range list {
			if err := enc.Encode(actionObject(&list[i], bodies)); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tBY\tACTION\tMESSAGES\tSTATE\tFILTER\tREASON")
	for i := range list {
		p := &list[i]
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.At.Format(time.RFC3339), terminal.Printable(p.By+"@"+p.Host), terminal.Printable(p.Name), changedOf(p),
			terminal.Printable(p.State), terminal.Printable(p.Filter), terminal.Printable(p.Reason))
	}
	if err := t.Flush(); err != nil || !bodies {
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
