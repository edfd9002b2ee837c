package command

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
	"github.com/parley-go/parley/service/internal/terminal"
)

// oneID checks the arguments of commands that take one id.
func oneID(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usage(cmd, errors.New("give the id of one parked message (parked ls lists the ids)"))
	}
	return nil
}

func (a *app) parkedShow() *cobra.Command {
	var f parkedFlags
	return &cobra.Command{
		Use: "show id", Short: "show one parked or waiting message with its history and body", Args: oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(cmd, args); err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, set parkedSet) error {
				found := false
				_, err := set.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
					found = true
					if err := p.full(ctx); err != nil {
						return parley.ParkedKeep, err
					}
					return parley.ParkedKeep, showParked(cmd.OutOrStdout(), p)
				})
				if err == nil && !found {
					err = fmt.Errorf("no parked message has the id %s", args[0])
				}
				return err
			})
		},
	}
}

func showParked(w io.Writer, p *parkedItem) error {
	lines := [][2]string{{"id", p.id}, {"state", p.stateText()}}
	if p.state == string(parley.FailureParked) {
		lines = append(lines, [2]string{"parked at", timeText(p.at, time.RFC3339Nano)}, [2]string{"reason", p.reason})
	} else {
		lines = append(lines, [2]string{"due at", timeText(p.at, time.RFC3339Nano)})
	}
	lines = append(lines, [][2]string{
		{"exchange", p.Exchange}, {"routing key", p.RoutingKey}, {"kind", string(p.Kind)},
		{"message id", p.ID}, {"app id", p.AppID}, {"correlation id", p.CorrelationID},
	}...)
	if p.record != 0 {
		lines = append(lines, [2]string{"record", fmt.Sprint(p.record)})
	}
	if p.consumer != "" {
		lines = append(lines, [2]string{"consumer", p.consumer})
	}
	lines = append(lines, rowLines(p.row)...)
	if h := p.history; h != nil {
		lines = append(lines, [][2]string{
			{"history verified", fmt.Sprint(p.verified)}, {"failed attempts", fmt.Sprint(h.Attempts)}, {"replays", fmt.Sprint(h.Replays)},
			{"first failure", timeText(h.FirstFailure, time.RFC3339) + " " + h.FirstError},
			{"last failure", timeText(h.LastFailure, time.RFC3339) + " " + h.LastError},
		}...)
	}
	if at := parley.ExpiryOf(p.Message); !at.IsZero() {
		lines = append(lines, [2]string{"expires", at.UTC().Format(time.RFC3339)})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		lines = append(lines, [2]string{"header " + name, fmt.Sprint(p.Headers[name])})
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintf(tw, "%s\t%s\n", terminal.Printable(line[0]), terminal.Printable(line[1]))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	report(w, "%s", terminal.PrintableBody(p.Body))
	return nil
}

// rowLines returns the lines about columns of the table of failed deliveries.
func rowLines(r *parley.FailureRow) [][2]string {
	if r == nil {
		return nil
	}
	lines := [][2]string{
		{"stored at", timeText(r.CreatedAt, time.RFC3339)}, {"redeliveries", fmt.Sprint(r.Repeats)},
		{"starts without an outcome", fmt.Sprint(r.Begun)},
	}
	if r.Key != "" {
		lines = append(lines, [2]string{"ordering key", r.Key})
	}
	if r.Fingerprint != "" {
		lines = append(lines, [2]string{"fingerprint", r.Fingerprint})
	}
	if r.State == parley.FailureRunning {
		lines = append(lines, [2]string{"handled by", r.ClaimedBy})
	}
	return lines
}

func (a *app) parkedEdit() *cobra.Command {
	var f parkedFlags
	var file string
	c := &cobra.Command{
		Use: "edit id", Short: "replace the body of one parked or waiting message, before a replay", Args: oneID,
		Long: `Replaces the body of one message with the content of a JSON file. Everything else, including the message's identity, stays
unchanged. A message of a parked queue (q…) is replayed immediately with its new body, because a message in a queue cannot be
changed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(cmd, args); err != nil {
				return err
			}
			if file == "" {
				return usage(cmd, errors.New("--file is required (- reads standard input)"))
			}
			body, err := readInput(cmd, file)
			if err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, set parkedSet) error {
				place, err := set.placeOf(args[0])
				if err == nil {
					err = place.edit(asOperator(ctx, "", 0), &f.parkedFilter, args[0], body)
				}
				if err != nil {
					return err
				}
				report(cmd.OutOrStdout(), "replaced the body: %d bytes", len(body))
				return nil
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "file with the new body (-: standard input)")
	c.Flags().BoolVar(&f.unverified, "unverified", false, "also if the message's retry history is not verified")
	return c
}

// placeOf returns the place of the message with an id.
func (set parkedSet) placeOf(id string) (parkedPlace, error) {
	for _, place := range set.places {
		if place.letter() == id[0] {
			return place, nil
		}
	}
	if id[0] == queueLetter {
		return nil, errors.Join(fmt.Errorf("%s is in a parked queue", id), set.s.Settings.Need("broker.url", "queue"))
	}
	return nil, errors.Join(fmt.Errorf("%s is in the database", id), set.s.Settings.Need("database.url"))
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
		return nil, fmt.Errorf("the body is larger than %d bytes", parley.MaxBody)
	}
	if !json.Valid(body) {
		return nil, errors.New("the body is not JSON")
	}
	return body, nil
}
