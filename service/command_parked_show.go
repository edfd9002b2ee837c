package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

func (a *app) parkedList() *cobra.Command {
	var f parkedFlags
	var limit int
	c := &cobra.Command{
		Use: "ls", Short: "list parked messages", Args: NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(cmd, args); err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, place parkedPlace) error {
				list := newParkedList(cmd.OutOrStdout())
				found := 0
				_, err := place.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
					if found++; found > limit {
						return parley.ParkedKeep, nil
					}
					return parley.ParkedKeep, list.print(p)
				})
				err = errors.Join(err, list.flush())
				if found > limit {
					report(cmd.OutOrStdout(), "and %d more (--limit)", found-limit)
				}
				return err
			})
		},
	}
	f.add(c)
	c.Flags().IntVar(&limit, "limit", 100, "most messages to list")
	return c
}

// A parkedList prints a table. It is flushed now and then: there may be many lines.
type parkedList struct {
	tw    *tabwriter.Writer
	lines int
}

func newParkedList(w io.Writer) *parkedList {
	return &parkedList{tw: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

func (l *parkedList) print(p *parkedItem) error {
	if l.lines == 0 {
		fmt.Fprintln(l.tw, "ID\tPARKED AT\tEXCHANGE\tROUTING KEY\tBYTES\tREASON")
	}
	if l.lines++; l.lines%parkedPage == 0 {
		if err := l.tw.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(l.tw, "%s\t%s\t%s\t%s\t%d\t%s\n", printable(p.id), p.at.UTC().Format(time.RFC3339),
		printable(p.Exchange), printable(p.RoutingKey), len(p.Body), printable(p.reason))
	return err
}

func (l *parkedList) flush() error { return l.tw.Flush() }

// oneID is the argument check of commands that take one id.
func oneID(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usage(cmd, errors.New("give the id of one parked message (parked ls shows them)"))
	}
	return nil
}

func (a *app) parkedShow() *cobra.Command {
	var f parkedFlags
	c := &cobra.Command{
		Use: "show id", Short: "show one parked message with its history and body", Args: oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.ids = args
			return a.parked(cmd, &f, func(ctx context.Context, place parkedPlace) error {
				found := false
				_, err := place.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
					found = true
					return parley.ParkedKeep, showParked(cmd.OutOrStdout(), p)
				})
				if err == nil && !found {
					err = fmt.Errorf("there is no parked message with the id %s", args[0])
				}
				return err
			})
		},
	}
	f.addConsumer(c)
	return c
}

func showParked(w io.Writer, p *parkedItem) error {
	lines := [][2]string{
		{"id", p.id}, {"parked at", p.at.UTC().Format(time.RFC3339Nano)}, {"reason", p.reason}, {"exchange", p.Exchange},
		{"routing key", p.RoutingKey}, {"kind", string(p.Kind)}, {"message id", p.ID}, {"app id", p.AppID}, {"correlation id", p.CorrelationID},
	}
	if p.record != 0 {
		lines = append(lines, [2]string{"record", fmt.Sprint(p.record)})
	}
	if h := p.history; h != nil {
		lines = append(lines, [][2]string{
			{"signed", fmt.Sprint(p.signed)}, {"failed attempts", fmt.Sprint(h.Attempts)}, {"replays", fmt.Sprint(h.Replays)},
			{"first failure", h.FirstFailure.UTC().Format(time.RFC3339) + " " + h.FirstError},
			{"last failure", h.LastFailure.UTC().Format(time.RFC3339) + " " + h.LastError},
		}...)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		lines = append(lines, [2]string{"header " + name, fmt.Sprint(p.Headers[name])})
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintf(tw, "%s\t%s\n", printable(line[0]), printable(line[1]))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	report(w, "%s", printableBody(p.Body))
	return nil
}

func (a *app) parkedExport() *cobra.Command {
	var f parkedFlags
	c := &cobra.Command{
		Use: "export [id...]", Short: "print parked messages as JSON, one per line",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(cmd, args); err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, place parkedPlace) error {
				_, err := place.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
					return parley.ParkedKeep, writeJSON(cmd.OutOrStdout(), exported(p))
				})
				return err
			})
		},
	}
	f.add(c)
	return c
}

func exported(p *parkedItem) object {
	o := object{
		"id": p.id, "parked_at": p.at.UTC(), "reason": p.reason, "exchange": p.Exchange, "routing_key": p.RoutingKey,
		"kind": p.Kind, "message_id": p.ID, "app_id": p.AppID, "correlation_id": p.CorrelationID,
		"headers": p.Headers, "body": jsonOrText(p.Body),
	}
	if p.record != 0 {
		o["record_id"] = p.record
	}
	if h := p.history; h != nil {
		o["history"] = object{
			"signed": p.signed, "attempts": h.Attempts, "replays": h.Replays, "first_error": h.FirstError,
			"last_error": h.LastError, "first_failure": h.FirstFailure, "last_failure": h.LastFailure,
		}
	}
	return o
}

func (a *app) parkedEdit() *cobra.Command {
	var f parkedFlags
	var file string
	c := &cobra.Command{
		Use: "edit id", Short: "replace the body of one parked message, before a replay", Args: oneID,
		Long: `Replaces the body of one parked message by the content of a file, which must be JSON. Everything
else, the message's identity among it, stays as it is. With --consumer the message is replayed at
once with its new body: a queue cannot change what it holds.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usage(cmd, errors.New("--file is needed (- reads standard input)"))
			}
			body, err := readInput(cmd, file)
			if err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, place parkedPlace) error {
				if err := place.edit(ctx, args[0], body); err != nil {
					return err
				}
				report(cmd.OutOrStdout(), "replaced the body: %d bytes", len(body))
				return nil
			})
		},
	}
	f.addConsumer(c)
	c.Flags().StringVar(&file, "file", "", "file with the new body (-: standard input)")
	return c
}

// readInput reads a JSON body from a file or standard input.
func readInput(cmd *cobra.Command, file string) ([]byte, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, parley.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	body = bytes.TrimSpace(body)
	if len(body) > parley.MaxBody {
		return nil, fmt.Errorf("the body has more than %d bytes", parley.MaxBody)
	}
	if !json.Valid(body) {
		return nil, errors.New("the body is not JSON")
	}
	return body, nil
}
