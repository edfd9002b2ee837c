package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
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
	return group("scheduled", "list, show, cancel and move scheduled messages", a.scheduledList(), a.scheduledShow(), a.scheduledCancel(), a.scheduledReschedule())
}

func (a *app) scheduledList() *cobra.Command {
	var sel selector
	var limit int
	var o output.Options
	var w watchFlags
	c := &cobra.Command{
		Use: "ls", Short: "list scheduled messages, soonest first", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tags, err := sel.parse(cmd)
			if err = errors.Join(err, checkFormat(cmd, &o), w.check(cmd)); err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				return w.run(ctx, cmd, o.Structured(), func(ctx context.Context, out io.Writer) error {
					return s.InTx(ctx, func(tx *service.Tx) error {
						list, err := parley.Scheduled(ctx, s.Outbox.In(tx), &sel, tags, limit)
						if err != nil {
							return err
						}
						return printRecords(out, &o, list)
					})
				})
			})
		},
	}
	sel.flags(c)
	c.Flags().IntVar(&limit, "limit", 100, "most messages to list")
	o.Add(c)
	w.add(c)
	return c
}

func printRecords(w io.Writer, o *output.Options, list []parley.Record) error {
	table := o.List(w, output.Columns("ID", "DUE", "EXCHANGE", "ROUTING KEY", "TAGS", "|", "KIND", "MESSAGE ID", "CREATED", "BYTES")...).WhenEmpty("no scheduled messages found")
	for i := range list {
		r := &list[i]
		err := table.Add(recordObject(r), fmt.Sprint(r.ID), r.DueAt.UTC().Format(time.RFC3339Nano), r.Exchange, r.RoutingKey, tagText(r.Tags),
			string(r.Kind), r.Message.ID, timeText(r.CreatedAt, time.RFC3339), fmt.Sprint(len(r.Body)))
		if err != nil {
			return err
		}
	}
	return table.Close()
}

func recordObject(r *parley.Record) object {
	return object{
		"id": r.ID, "due_at": r.DueAt.UTC(), "exchange": r.Exchange, "routing_key": r.RoutingKey,
		"kind": r.Kind, "message_id": r.Message.ID, "tags": r.Tags, "body": jsonOrText(r.Body),
	}
}

func (a *app) scheduledShow() *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use: "show id", Short: "show one scheduled message with its body",
		Args:              func(cmd *cobra.Command, args []string) error { return oneScheduled(cmd, args) },
		ValidArgsFunction: a.completeScheduled(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := recordIDs(cmd, args)
			if err = errors.Join(err, checkFormat(cmd, &o)); err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				return s.InTx(ctx, func(tx *service.Tx) error {
					r, ok, err := parley.ScheduledID(ctx, s.Outbox.In(tx), ids[0])
					if err == nil && !ok {
						err = notScheduled(ids[0])
					}
					if err != nil {
						return err
					}
					return o.Document(cmd.OutOrStdout(), recordObject(&r), func(w io.Writer) error { return showRecord(w, &r) })
				})
			})
		},
	}
	o.Add(c)
	return c
}

func notScheduled(id int64) error {
	return fmt.Errorf("no scheduled message has the id %d: it was sent or cancelled, or never existed (scheduled ls lists the ids)", id)
}

func oneScheduled(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(cmd, errors.New("give the id of one scheduled message (scheduled ls lists the ids)"))
	}
	return nil
}

// recordIDs parses the ids of records.
func recordIDs(cmd *cobra.Command, args []string) (ids []int64, err error) {
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id < 1 {
			return nil, usage(cmd, fmt.Errorf("id %q is not the number of a scheduled message (scheduled ls lists the ids)", arg))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func showRecord(w io.Writer, r *parley.Record) error {
	for _, line := range [][2]string{
		{"id", fmt.Sprint(r.ID)}, {"due at", timeText(r.DueAt, time.RFC3339Nano)}, {"created at", timeText(r.CreatedAt, time.RFC3339)},
		{"exchange", r.Exchange}, {"routing key", r.RoutingKey}, {"kind", string(r.Kind)}, {"message id", r.Message.ID},
		{"app id", r.AppID}, {"correlation id", r.CorrelationID}, {"tags", tagText(r.Tags)},
	} {
		report(w, "%-14s  %s", line[0], terminal.Printable(line[1]))
	}
	report(w, "%s", terminal.PrintableBody(r.Body))
	return nil
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
