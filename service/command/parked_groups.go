package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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
		return parley.FailureGroup{}, fmt.Errorf("no parked delivery in group %q (list the groups with: parked groups)", ch.group)
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
	return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
		store := s.Database().Failures()
		g, err := ch.find(ctx, store, ch.consumer)
		if err != nil && ch.action == parley.ParkedReplay {
			g, err = ch.unfinished(ctx, s.Database(), err)
		}
		if err != nil {
			return err
		}
		q := parley.FailureQuery{Consumer: g.Consumer, Fingerprint: g.Fingerprint, States: []parley.FailureState{parley.FailureParked}}
		out := cmd.OutOrStdout()
		if ch.dryRun {
			report(out, "would have %s %s", ch.done, atMost(g.Count))
			return nil
		}
		ctx = asOperator(ctx, ch.note, 0)
		if ch.action == parley.ParkedReplay {
			return ch.replayGroup(ctx, cmd, s, q)
		}
		if err := ch.ask(cmd, fmt.Sprintf("drop %s of group %s", atMost(g.Count), g.Fingerprint)); err != nil {
			return err
		}
		n, running, err := store.Drop(ctx, q)
		report(out, "dropped %d", n)
		ch.beingHandled += running
		return errors.Join(err, ch.left(0))
	})
}

// unfinished returns the group of a replay that has not ended, although no delivery of the group is parked any more.
func (ch *groupChange) unfinished(ctx context.Context, log parley.ActionLog, notFound error) (parley.FailureGroup, error) {
	running, err := log.Actions(ctx, parley.ActionQuery{Running: true, Limit: 1000})
	if err != nil {
		return parley.FailureGroup{}, err
	}
	for _, action := range running {
		var g parley.FailureGroup
		for word := range strings.FieldsSeq(action.Filter) {
			if name, ok := strings.CutPrefix(word, "consumer="); ok {
				g.Consumer = name
			}
			if name, ok := strings.CutPrefix(word, "group="); ok {
				g.Fingerprint = name
			}
		}
		if action.Name == parley.ActionReplay && g.Consumer != "" && g.Fingerprint != "" && strings.HasPrefix(g.Fingerprint, ch.group) {
			return g, nil
		}
	}
	return parley.FailureGroup{}, notFound
}

// replayGroup replays a group, with its progress on a terminal. Ctrl-C ends it; the same command continues it.
func (ch *parkedChange) replayGroup(ctx context.Context, cmd *cobra.Command, s *service.Service, q parley.FailureQuery) error {
	line := progressLine(cmd.ErrOrStderr())
	p, err := parley.ReplayFailures(ctx, s.Database().Failures(), s.Database(), q, parley.ReplayOptions{
		Every: ch.every, Canary: ch.canary,
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
	return err
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
