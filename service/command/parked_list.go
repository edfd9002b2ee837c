package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
)

func (a *app) parkedList() *cobra.Command {
	var f parkedFlags
	var limit int
	var o output.Options
	var w watchFlags
	c := &cobra.Command{
		Use: "ls", Short: "list parked messages, or with --waiting pending retries", Args: NoArgs,
		Long: `Lists parked messages: records of the outbox, then failed deliveries of the consumer of the settings, then messages of its
parked queue. With --waiting it lists the failed deliveries that wait for their next attempt, with their due times. The list ends
after --limit messages and then shows how to continue. -o wide adds columns, and does not shorten the reasons.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(f.parse(cmd, args), checkFormat(cmd, &o), w.check(cmd)); err != nil {
				return err
			}
			if limit < 1 {
				return usage(cmd, fmt.Errorf("--limit must be at least 1"))
			}
			return a.parked(cmd, &f, func(ctx context.Context, set parkedSet) error {
				return w.run(ctx, cmd, o.Structured(), func(ctx context.Context, out io.Writer) error {
					return (&parkedListing{out: out, notes: cmd.ErrOrStderr(), o: &o, limit: limit}).run(ctx, set, f)
				})
			})
		},
	}
	f.add(c)
	c.Flags().IntVar(&limit, "limit", 100, "most messages to list")
	c.Flags().StringVar(&f.after, "after", "", "only messages after this id")
	o.Add(c)
	w.add(c)
	return c
}

// A parkedListing prints one list of parked messages.
type parkedListing struct {
	out, notes io.Writer // notes is for remarks if a program reads out
	o          *output.Options
	limit      int
}

// run prints the list. It gets a copy of the flags, because a visit changes the filter.
func (l *parkedListing) run(ctx context.Context, set parkedSet, f parkedFlags) error {
	list, found, last, more := newParkedList(l.out, l.o), 0, "", false
	list.WhenEmpty("no parked messages found")
	if f.waiting {
		list.WhenEmpty("no failed deliveries wait for a retry")
	}
	_, err := set.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
		if found == l.limit {
			more = true
			return parley.ParkedKeep, errEnough
		}
		found, last = found+1, p.id
		return parley.ParkedKeep, list.print(p)
	})
	if closeErr := list.Close(); err == nil {
		err = closeErr
	}
	notes := l.out
	if l.o.Structured() {
		notes = l.notes
	}
	if more {
		report(notes, "more messages follow: continue with --after %s", terminal.Printable(last))
	}
	if !f.allConsumers && !f.outbox {
		noteOthers(ctx, notes, set, &f)
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

// A parkedList prints parked messages, without bodies.
type parkedList struct {
	*output.List
	o *output.Options
}

func newParkedList(w io.Writer, o *output.Options) *parkedList {
	return &parkedList{o.List(w, output.Columns("ID", "STATE", "SINCE OR DUE", "CONSUMER", "EXCHANGE", "ROUTING KEY", "BYTES", "REASON",
		"|", "KIND", "MESSAGE ID", "ATTEMPTS", "REPLAYS", "ORDERING KEY", "FINGERPRINT")...), o}
}

func (l *parkedList) print(p *parkedItem) error {
	attempts, replays, key, fingerprint := "-", "-", "-", "-"
	if h := p.history; h != nil {
		attempts, replays = fmt.Sprint(h.Attempts), fmt.Sprint(h.Replays)
	}
	if r := p.row; r != nil {
		key, fingerprint = cmp.Or(r.Key, "-"), cmp.Or(r.Fingerprint, "-")
	}
	return l.Add(shownItem(p), p.id, p.stateText(), timeText(p.at, time.RFC3339), cmp.Or(p.consumer, "-"), p.Exchange, p.RoutingKey,
		fmt.Sprint(p.size), cell(l.o, p.reason), cmp.Or(string(p.Kind), "-"), cmp.Or(p.ID, "-"), attempts, replays, key, fingerprint)
}

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
		Use: "export [id...]", Short: "print parked messages with their bodies as JSON, one per line", ValidArgsFunction: a.completeParked(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(cmd, args); err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, set parkedSet) error { return export(ctx, cmd, set, &f.parkedFilter) })
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.after, "after", "", "only messages after this id")
	return c
}

// export prints the selected messages. It skips those that a consumer has handled since they were listed.
func export(ctx context.Context, cmd *cobra.Command, set parkedSet, f *parkedFilter) error {
	seen := newProgress(cmd, "messages exported")
	defer seen.end()
	gone := 0
	_, err := set.visit(ctx, f, func(p *parkedItem) (parley.ParkedAction, error) {
		if err := p.full(ctx); errors.Is(err, parley.ErrNoFailure) {
			gone++
			return parley.ParkedKeep, nil
		} else if err != nil {
			return parley.ParkedKeep, err
		}
		seen.add(1)
		return parley.ParkedKeep, terminal.WriteJSON(cmd.OutOrStdout(), exported(p))
	})
	if gone > 0 {
		seen.end()
		report(cmd.ErrOrStderr(), "note: %s handled or deleted meanwhile, and not exported", counted(int64(gone), "message was", "messages were"))
	}
	return err
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
