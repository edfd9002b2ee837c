package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/terminal"
)

func (a *app) parkedList() *cobra.Command {
	var f parkedFlags
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use: "ls", Short: "list parked messages, or with --waiting pending retries", Args: NoArgs,
		Long: `Lists parked messages: records of the outbox, then failed deliveries of the consumer of the settings, then messages of its
parked queue. With --waiting it lists the failed deliveries that wait for their next attempt, with their due times. The list ends
after --limit messages and then shows how to continue.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(cmd, args); err != nil {
				return err
			}
			if limit < 1 {
				return usage(cmd, fmt.Errorf("--limit must be at least 1"))
			}
			return a.parked(cmd, &f, func(ctx context.Context, set parkedSet) error {
				return listParked(ctx, cmd, set, &f, limit, asJSON)
			})
		},
	}
	f.add(c)
	c.Flags().IntVar(&limit, "limit", 100, "most messages to list")
	c.Flags().StringVar(&f.after, "after", "", "only messages after this id")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line, without bodies (see parked export)")
	return c
}

func listParked(ctx context.Context, cmd *cobra.Command, set parkedSet, f *parkedFlags, limit int, asJSON bool) error {
	out := cmd.OutOrStdout()
	list, found, last, more := newParkedList(out), 0, "", false
	_, err := set.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
		if found == limit {
			more = true
			return parley.ParkedKeep, errEnough
		}
		found, last = found+1, p.id
		if asJSON {
			return parley.ParkedKeep, terminal.WriteJSON(out, shownItem(p))
		}
		return parley.ParkedKeep, list.print(p)
	})
	if flushErr := list.flush(); err == nil {
		err = flushErr
	}
	notes := out
	if asJSON {
		notes = cmd.ErrOrStderr()
	}
	if more {
		report(notes, "more messages follow: continue with --after %s", terminal.Printable(last))
	}
	if !f.allConsumers && !f.outbox {
		noteOthers(ctx, notes, set, f)
	}
	return err
}

// noteOthers names the other consumers with failed deliveries in the same database. It ignores errors: the list has reported them.
func noteOthers(ctx context.Context, w io.Writer, set parkedSet, f *parkedFlags) {
	i := slices.IndexFunc(set.places, func(p parkedPlace) bool { return p.letter() == consumerLetter })
	if i < 0 || f.consumer == "" && len(f.own) == 0 {
		return
	}
	names, err := set.places[i].(parkedFailures).store.Consumers(ctx)
	if err != nil {
		return
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == f.consumer || slices.Contains(f.own, name) })
	if len(names) > 0 {
		report(w, "other consumers with failed deliveries: %s (--all-consumers)", terminal.Printable(strings.Join(names, ", ")))
	}
}

// A parkedList prints a table. It flushes after each page, because there may be many lines.
type parkedList struct {
	tw    *tabwriter.Writer
	lines int
}

func newParkedList(w io.Writer) *parkedList {
	return &parkedList{tw: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

func (l *parkedList) print(p *parkedItem) error {
	if l.lines == 0 {
		fmt.Fprintln(l.tw, "ID\tSTATE\tSINCE OR DUE\tCONSUMER\tEXCHANGE\tROUTING KEY\tBYTES\tREASON")
	}
	if l.lines++; l.lines%parkedPage == 0 {
		if err := l.tw.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(l.tw, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", terminal.Printable(p.id), p.stateText(), timeText(p.at, time.RFC3339),
		terminal.Printable(cmp.Or(p.consumer, "-")), terminal.Printable(p.Exchange), terminal.Printable(p.RoutingKey), p.size, terminal.Printable(p.reason))
	return err
}

func (l *parkedList) flush() error { return l.tw.Flush() }

// stateText returns the state as lists show it.
func (p *parkedItem) stateText() string {
	if p.row != nil && p.row.Holds && p.row.State == parley.FailureParked {
		return "parked+holds" // later messages of its ordering key wait behind it
	}
	return p.state
}

// timeText formats a time, and the zero time as "-".
func timeText(t time.Time, layout string) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(layout)
}

func (a *app) parkedExport() *cobra.Command {
	var f parkedFlags
	c := &cobra.Command{
		Use: "export [id...]", Short: "print parked messages with their bodies as JSON, one per line",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(cmd, args); err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, set parkedSet) error {
				_, err := set.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
					if err := p.full(ctx); err != nil {
						return parley.ParkedKeep, err
					}
					return parley.ParkedKeep, terminal.WriteJSON(cmd.OutOrStdout(), exported(p))
				})
				return err
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.after, "after", "", "only messages after this id")
	return c
}

// exported returns an item as a JSON object, with headers and body.
func exported(p *parkedItem) object {
	o := shownItem(p)
	o["headers"], o["body"] = p.Headers, jsonOrText(p.Body)
	return o
}

// shownItem returns an item as a JSON object, without headers and body.
func shownItem(p *parkedItem) object {
	o := object{
		"id": p.id, "state": p.state, "reason": p.reason, "exchange": p.Exchange, "routing_key": p.RoutingKey,
		"kind": p.Kind, "message_id": p.ID, "app_id": p.AppID, "correlation_id": p.CorrelationID, "bytes": p.size,
	}
	if p.state == string(parley.FailureParked) {
		o["parked_at"] = p.at.UTC()
	} else if !p.at.IsZero() {
		o["due_at"] = p.at.UTC()
	}
	if p.consumer != "" {
		o["consumer"] = p.consumer
	}
	if p.record != 0 {
		o["record_id"] = p.record
	}
	if r := p.row; r != nil {
		o["created_at"], o["holds_key"], o["begun"], o["repeats"], o["fingerprint"] = r.CreatedAt.UTC(), r.Holds, r.Begun, r.Repeats, r.Fingerprint
		if r.Key != "" {
			o["key"] = r.Key
		}
		if r.ClaimedBy != "" {
			o["claimed_by"] = r.ClaimedBy
		}
	}
	if h := p.history; h != nil {
		history := object{"verified": p.verified, "attempts": h.Attempts, "replays": h.Replays, "first_error": h.FirstError, "last_error": h.LastError}
		if !h.FirstFailure.IsZero() {
			history["first_failure"], history["last_failure"] = h.FirstFailure.UTC(), h.LastFailure.UTC()
		}
		o["history"] = history
	}
	return o
}
