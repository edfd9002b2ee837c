package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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

const (
	groupLimit = 1000 // groups that are read
	groupShown = 12   // digits of a fingerprint that are shown
)

func (a *app) parkedGroups() *cobra.Command {
	var consumer string
	var o output.Options
	c := &cobra.Command{
		Use: "groups", Short: "group parked deliveries by route and error, the largest group first", Args: NoArgs,
		Long: `Groups the parked deliveries in the database by consumer, exchange, routing key and error. Values in the error, such as numbers, ids
and quoted texts, do not count. A group is replayed or dropped by its first digits: parked replay --group 1a2b3c4d5e6f`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				found, err := s.Database().Failures().FailureGroups(ctx, consumer, groupLimit)
				if err != nil {
					return err
				}
				slices.SortStableFunc(found, func(a, b parley.FailureGroup) int { return cmp.Compare(b.Count, a.Count) })
				return printGroups(cmd.OutOrStdout(), &o, found)
			})
		},
	}
	c.Flags().StringVar(&consumer, "consumer", "", "only this consumer (default: all in the database)")
	o.Add(c)
	return c
}

func printGroups(w io.Writer, o *output.Options, list []parley.FailureGroup) error {
	table := o.List(w, output.Columns("GROUP", "COUNT", "CONSUMER", "EXCHANGE", "ROUTING KEY", "LAST PARKED", "ERROR")...).WhenEmpty("no parked deliveries found")
	for i := range list {
		g := &list[i]
		text, _, _ := strings.Cut(g.Error, "\n")
		err := table.Add(object{
			"group": g.Fingerprint, "consumer": g.Consumer, "count": g.Count, "exchange": g.Exchange, "routing_key": g.RoutingKey, "error": g.Error,
			"first_id": fmt.Sprintf("%c%d", consumerLetter, g.FirstID), "last_id": fmt.Sprintf("%c%d", consumerLetter, g.LastID),
			"first_parked": g.FirstParked, "last_parked": g.LastParked,
		}, cmp.Or(g.Fingerprint[:min(len(g.Fingerprint), groupShown)], "-"), atMost(g.Count), g.Consumer, g.Exchange, g.RoutingKey, g.LastParked.Format(time.RFC3339),
			fmt.Sprintf("%.200s", text))
		if err != nil {
			return err
		}
	}
	return table.Close()
}

// A groupChange is the flags of a replay or drop of a whole group.
type groupChange struct {
	group  string
	canary int
}

// errNoGroup means that no group of parked deliveries has the given digits.
var errNoGroup = errors.New("no parked delivery in group")

// find returns the group whose fingerprint begins with the given digits.
func (ch *groupChange) find(ctx context.Context, store parley.FailureGrouper, consumer string) (parley.FailureGroup, error) {
	found, err := store.FailureGroups(ctx, consumer, groupLimit)
	if err != nil {
		return parley.FailureGroup{}, err
	}
	found = slices.DeleteFunc(found, func(g parley.FailureGroup) bool {
		return g.Fingerprint == "" || !strings.HasPrefix(g.Fingerprint, ch.group)
	})
	switch len(found) {
	case 0:
		return parley.FailureGroup{}, fmt.Errorf("%w %q (list the groups with: parked groups)", errNoGroup, ch.group)
	case 1:
		return found[0], nil
	}
	return parley.FailureGroup{}, fmt.Errorf("%d groups begin with %q (give more digits, or --consumer)", len(found), ch.group)
}

// changeGroup replays or drops a group.
func (a *app) changeGroup(cmd *cobra.Command, ch *parkedChange) error {
	if len(ch.ids) > 0 || ch.all || ch.outbox || ch.waiting || ch.exchange != "" || ch.routingKey != "" || ch.reason != "" {
		return usage(cmd, errors.New("--group replaces ids and filters: give --consumer, --rate, --canary, --dry-run or --yes with it"))
	}
	switch {
	case ch.unverified:
		return usage(cmd, errors.New("--unverified does not apply to --group: deliveries in the database have no signature to verify"))
	case ch.force && ch.canary > 0:
		return usage(cmd, errors.New("give --force or --canary, not both: an expired message is not handled, so it says nothing about the others"))
	}
	return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
		store := s.Database().Failures()
		g, err := ch.find(ctx, store, ch.consumer)
		if errors.Is(err, errNoGroup) && ch.action == parley.ParkedReplay {
			g, err = ch.unfinished(ctx, s.Database(), ch.consumer, err)
		}
		if err != nil {
			return err
		}
		q := parley.FailureQuery{Consumer: g.Consumer, Fingerprint: g.Fingerprint, States: []parley.FailureState{parley.FailureParked}}
		ctx = asOperator(ctx, ch.note, 0)
		switch {
		case ch.dryRun:
			return ch.countGroup(ctx, cmd, store, q)
		case ch.action == parley.ParkedReplay:
			return ch.replayGroup(ctx, cmd, s, q)
		}
		return ch.dropGroup(ctx, cmd, s.Database(), q)
	})
}

// countGroup reports how many deliveries a replay or drop of the group would change.
func (ch *parkedChange) countGroup(ctx context.Context, cmd *cobra.Command, store parley.FailureOperator, q parley.FailureQuery) error {
	keep := ch.keepsRow(store)
	err := eachRow(ctx, store, q, func(row *parley.FailureRow) error {
		kept, err := keep(ctx, row)
		if !kept && err == nil {
			ch.would++
		}
		return err
	})
	report(cmd.OutOrStdout(), "would have %s %d", ch.done, ch.would)
	return errors.Join(err, ch.left(0))
}

// dropBatch is how many rows are deleted in one statement.
const dropBatch = 1000

// dropGroup deletes the deliveries of the group that it has counted before the question.
func (ch *parkedChange) dropGroup(ctx context.Context, cmd *cobra.Command, db service.Database, q parley.FailureQuery) error {
	store := db.Failures()
	var ids []int64
	err := eachRow(ctx, store, q, func(row *parley.FailureRow) error {
		ids = append(ids, row.ID)
		return nil
	})
	if err == nil {
		err = ch.ask(cmd, fmt.Sprintf("drop %s of group %s", plural(len(ids), "message"), q.Fingerprint))
	}
	if err != nil {
		return err
	}
	actor := operator(ch.note, 0)
	entry, err := db.LogAction(ctx, parley.Action{Name: parley.ActionDrop, By: actor.Name, Host: actor.Host, Reason: actor.Reason, Filter: q.String()})
	if err != nil {
		return err
	}
	ctx = asOperator(ctx, ch.note, entry) // all batches count in one entry
	done := 0
	for batch := range slices.Chunk(ids, dropBatch) {
		only := q
		only.IDs = batch
		n, running, err := store.Drop(ctx, only)
		done += n
		ch.beingHandled += running
		if err != nil {
			return errors.Join(fmt.Errorf("dropped %d, then: %w", done, err), ch.left(0))
		}
	}
	report(cmd.OutOrStdout(), "dropped %d", done)
	return ch.left(0)
}

// keepsRow returns a function that reports whether a row stays parked. It counts the reason, once for each row.
func (ch *parkedChange) keepsRow(store parley.FailureOperator) func(ctx context.Context, row *parley.FailureRow) (bool, error) {
	known := map[int64]bool{} // kept rows
	return func(ctx context.Context, row *parley.FailureRow) (bool, error) {
		if known[row.ID] {
			return true, nil
		}
		own := *row // the body is read into the copy
		keep, err := ch.keeps(ctx, parkedFailures{store}.item(&own))
		if errors.Is(err, parley.ErrNoFailure) {
			return true, nil // handled or dropped since it was listed
		}
		if keep {
			known[row.ID] = true
		}
		return keep, err
	}
}

// eachRow calls do with each row that q selects.
func eachRow(ctx context.Context, store parley.FailureOperator, q parley.FailureQuery, do func(row *parley.FailureRow) error) error {
	for after := int64(0); ; {
		page, err := store.List(ctx, q, after, parkedPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := do(&page[i]); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

// unfinished returns the group of a replay that has not ended, although no delivery of the group is parked any more.
func (ch *groupChange) unfinished(ctx context.Context, log parley.ActionLog, consumer string, notFound error) (parley.FailureGroup, error) {
	running, err := log.Actions(ctx, parley.ActionQuery{Running: true, Limit: 1000})
	if err != nil {
		return parley.FailureGroup{}, err
	}
	var found []parley.FailureGroup
	for _, action := range running {
		words := filterWords(action.Filter)
		g := parley.FailureGroup{Consumer: words["consumer"], Fingerprint: words["group"]}
		switch {
		case action.Name != parley.ActionReplay, g.Consumer == "", g.Fingerprint == "", !strings.HasPrefix(g.Fingerprint, ch.group):
		case consumer != "" && g.Consumer != consumer:
		case !slices.Contains(found, g):
			found = append(found, g)
		}
	}
	switch len(found) {
	case 0:
		return parley.FailureGroup{}, notFound
	case 1:
		return found[0], nil
	}
	return parley.FailureGroup{}, fmt.Errorf("%d unfinished replays are of groups that begin with %q (give more digits, or --consumer; log --running lists them)", len(found), ch.group)
}

// filterWords returns the conditions of an entry of the action log by their names, such as those of: consumer="my mail" group=1a2b
func filterWords(text string) map[string]string {
	words := map[string]string{}
	for {
		name, rest, ok := strings.Cut(strings.TrimLeft(text, " "), "=")
		if !ok {
			return words
		}
		if quoted, err := strconv.QuotedPrefix(rest); err == nil && quoted[0] == '"' {
			words[name], _ = strconv.Unquote(quoted) // QuotedPrefix has checked it
			text = rest[len(quoted):]
			continue
		}
		words[name], text, _ = strings.Cut(rest, " ")
	}
}

// replayGroup replays a group, with its progress on a terminal. Ctrl-C ends it; the same command continues it.
func (ch *parkedChange) replayGroup(ctx context.Context, cmd *cobra.Command, s *service.Service, q parley.FailureQuery) error {
	line := progressLine(cmd.ErrOrStderr())
	p, err := parley.ReplayFailures(ctx, s.Database().Failures(), s.Database(), q, parley.ReplayOptions{
		Every: ch.every, Canary: ch.canary, Keep: ch.keepsRow(s.Database().Failures()),
		Progress: func(p parley.ReplayProgress) {
			text := fmt.Sprintf("replayed %d of %s", p.Replayed, atMost(p.Total))
			if p.Canary {
				text += ", waiting until the first is handled"
			}
			line(text)
		},
	})
	line("")
	if p.Resumed {
		report(cmd.OutOrStdout(), "continued action %d", p.Entry)
	}
	report(cmd.OutOrStdout(), "replayed %d of %s", p.Replayed, atMost(p.Total))
	if err != nil && !errors.Is(err, parley.ErrCanaryFailed) {
		err = fmt.Errorf("%w (the same command continues action %d)", err, p.Entry)
	}
	return errors.Join(err, ch.left(0))
}

// progressLine returns a function that replaces a line of a terminal, and does nothing elsewhere.
func progressLine(w io.Writer) func(text string) {
	f, ok := w.(*os.File)
	if !ok || !terminal.Is(f) {
		return func(string) {}
	}
	return func(text string) {
		const clear = "\r\x1b[K"
		fmt.Fprint(w, clear+text)
	}
}

// ask asks on a terminal before more than one message is dropped.
func (ch *parkedChange) ask(cmd *cobra.Command, what string) error {
	if ch.yes {
		return nil
	}
	err := confirm(cmd, what, "--dry-run lists them")
	if errors.Is(err, errDeclined) {
		err = errors.New("nothing dropped")
	}
	return err
}
