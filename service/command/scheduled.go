package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
)

// A selector holds the flags that select scheduled messages.
type selector struct {
	exchange, routingKey string
	tags                 []string
}

func (sel *selector) flags(c *cobra.Command) {
	c.Flags().StringVar(&sel.exchange, "exchange", "", "exchange (for events, the aggregate)")
	c.Flags().StringVar(&sel.routingKey, "routing-key", "", "routing key (for events, the event type)")
	c.Flags().StringArrayVar(&sel.tags, "tag", nil, "tag name=value that the message must have; may be repeated")
}

// Exchange and RoutingKey implement parley.Addressed.
func (sel *selector) Exchange() string   { return sel.exchange }
func (sel *selector) RoutingKey() string { return sel.routingKey }

// parse checks the flags and returns the tags.
func (sel *selector) parse(cmd *cobra.Command) (parley.Tags, error) {
	if cmd.Flags().Changed("exchange") != cmd.Flags().Changed("routing-key") {
		return nil, usage(cmd, errors.New("--exchange and --routing-key must be given together"))
	}
	return sel.parseTags(cmd)
}

func (sel *selector) parseTags(cmd *cobra.Command) (parley.Tags, error) {
	out := parley.Tags{}
	for _, tag := range sel.tags {
		name, value, ok := strings.Cut(tag, "=")
		if !ok || name == "" {
			return nil, usage(cmd, fmt.Errorf("--tag %q is not name=value", tag))
		}
		out[name] = value
	}
	return out, nil
}

func (a *app) scheduledCommand() *cobra.Command {
	return group("scheduled", "list, cancel and move scheduled messages", a.scheduledList(), a.scheduledCancel(), a.scheduledReschedule())
}

func (a *app) scheduledList() *cobra.Command {
	var sel selector
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use: "ls", Short: "list scheduled messages, soonest first", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tags, err := sel.parse(cmd)
			if err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				return s.InTx(ctx, func(tx *service.Tx) error {
					list, err := parley.Scheduled(ctx, s.Outbox.In(tx), &sel, tags, limit)
					if err != nil {
						return err
					}
					return printRecords(cmd.OutOrStdout(), list, asJSON)
				})
			})
		},
	}
	sel.flags(c)
	c.Flags().IntVar(&limit, "limit", 100, "most messages to list")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return c
}

func printRecords(w io.Writer, list []parley.Record, asJSON bool) error {
	if asJSON {
		for _, r := range list {
			err := terminal.WriteJSON(w, object{
				"id": r.ID, "due_at": r.DueAt.UTC(), "exchange": r.Exchange, "routing_key": r.RoutingKey,
				"kind": r.Kind, "tags": r.Tags, "body": jsonOrText(r.Body),
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tDUE\tEXCHANGE\tROUTING KEY\tTAGS")
	for _, r := range list {
		fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\n", r.ID, r.DueAt.UTC().Format(time.RFC3339Nano),
			terminal.Printable(r.Exchange), terminal.Printable(r.RoutingKey), terminal.Printable(tagText(r.Tags)))
	}
	return tw.Flush()
}

func tagText(tags map[string]string) string {
	out := make([]string, 0, len(tags))
	for name, value := range tags {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// jsonOrText returns a JSON body unchanged, and any other body as a text.
func jsonOrText(body []byte) any {
	if json.Valid(body) {
		return json.RawMessage(body)
	}
	return string(body)
}

var errDryRun = errors.New("dry run")

func (a *app) scheduledCancel() *cobra.Command {
	return a.changeScheduled("cancel", "delete scheduled messages with given tags", "cancelled",
		nil, func(ctx context.Context, in *parley.TxOutbox, sel *selector, tags parley.Tags) (int, error) {
			return parley.Cancel(ctx, in, sel, tags)
		})
}

func (a *app) scheduledReschedule() *cobra.Command {
	var to string
	var at time.Time
	c := a.changeScheduled("reschedule", "move scheduled messages with given tags to another time", "moved",
		func() (err error) {
			at, err = parseTo(to)
			return err
		},
		func(ctx context.Context, in *parley.TxOutbox, sel *selector, tags parley.Tags) (int, error) {
			return parley.Reschedule(ctx, in, sel, tags, at)
		})
	c.Flags().StringVar(&to, "to", "", "the new time, such as 2026-01-31T08:00:00Z, or +1h30m from now")
	return c
}

func parseTo(text string) (time.Time, error) {
	if ahead, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(ahead)
		return time.Now().Add(d), err
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil {
		return t, fmt.Errorf("--to %q is neither a time such as 2026-01-31T08:00:00Z nor +1h30m", text)
	}
	return t, nil
}

// changeScheduled returns a command that changes the messages with given tags. A dry run rolls the change back, so that its count is
// exact.
func (a *app) changeScheduled(use, short, done string, prepare func() error,
	change func(context.Context, *parley.TxOutbox, *selector, parley.Tags) (int, error)) *cobra.Command {
	var sel selector
	var dryRun bool
	c := &cobra.Command{
		Use: use, Short: short, Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tags, err := sel.parse(cmd)
			if err == nil && (sel.exchange == "" || len(tags) == 0) {
				err = usage(cmd, errors.New("--exchange, --routing-key and at least one --tag are required"))
			}
			if err == nil && prepare != nil {
				if err = prepare(); err != nil {
					err = usage(cmd, err)
				}
			}
			if err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				var n int
				err := s.InTx(ctx, func(tx *service.Tx) (err error) {
					if n, err = change(ctx, s.Outbox.In(tx), &sel, tags); err == nil && dryRun {
						err = errDryRun
					}
					return err
				})
				if errors.Is(err, errDryRun) {
					report(cmd.OutOrStdout(), "would have %s %d", done, n)
					return nil
				}
				if err == nil {
					report(cmd.OutOrStdout(), "%s %d", done, n)
				}
				return err
			})
		},
	}
	sel.flags(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only count the messages")
	return c
}
