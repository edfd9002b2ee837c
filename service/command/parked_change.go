package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
)

// A parkedChange is a replay or drop of parked messages.
type parkedChange struct {
	parkedFlags
	groupChange
	note         string // for the action log
	action       parley.ParkedAction
	done         string // "replayed"
	dryRun       bool
	force        bool // replay expired messages too
	yes          bool // drop without asking
	rate         string
	would        int
	notVerified  int
	expired      int
	beingHandled int
	gone         int
	counted      map[string]bool // ids of the messages that the question counted; nil without a question
}

func (a *app) parkedReplay() *cobra.Command {
	ch := &parkedChange{action: parley.ParkedReplay, done: "replayed"}
	c := a.changeParked("replay", "publish or handle parked messages again", ch)
	c.Long = `Returns parked records to the outbox, to be published again, and parked deliveries to their consumer, with all their retries.
A failed delivery that waits for its next attempt becomes due now.

With --rate the messages are spread over time, so that a handler does not get all of them at once. For failed deliveries in the
database, the command sets staggered due times and ends. For records and parked queues, it waits between two messages.

With --group it replays a whole group of parked deliveries (see parked groups) and shows its progress. With --canary 1 it first waits until one message
is handled, and stops if that one fails again. The progress is in the database: after Ctrl-C or a crash the same command continues.

Expired commands and calls stay parked, because no handler starts them. --force replays them too.

Messages of a parked queue whose retry history is not verified stay there, unless --unverified is given. Another program wrote
them, or the secret has changed. After a change, add the old secret to consumer.secrets.`
	c.Flags().StringVar(&ch.rate, "rate", "", "most messages per second, minute or hour, such as 50/s, 100/m or 1000/h (default: all at once)")
	c.Flags().IntVar(&ch.canary, "canary", 0, "with --group: replay this many first, and stop if one fails again")
	c.Flags().BoolVar(&ch.force, "force", false, "also expired commands and calls, although no handler starts them")
	c.Flags().BoolVar(&ch.unverified, "unverified", false, "also messages whose retry history is not verified")
	return c
}

func (a *app) parkedDrop() *cobra.Command {
	ch := &parkedChange{action: parley.ParkedDrop, done: "dropped"}
	c := a.changeParked("drop", "delete parked messages", ch)
	c.Long = `Deletes parked messages, or with --waiting pending retries. It asks before on a terminal; without a terminal it requires --yes.
It deletes only the messages that the question has counted, not those that were parked meanwhile.
To keep a copy, run parked export first.`
	c.Flags().BoolVar(&ch.yes, "yes", false, "delete without asking")
	return c
}

func (a *app) changeParked(use, short string, ch *parkedChange) *cobra.Command {
	c := &cobra.Command{
		Use: use + " [id...]", Short: short, ValidArgsFunction: a.completeParked(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := ch.parse(cmd, args)
			if ch.group == "" {
				err = errors.Join(err, ch.chosen(cmd))
			}
			if ch.canary != 0 && (ch.group == "" || ch.canary < 0) {
				err = errors.Join(err, usage(cmd, errors.New("--canary is a number of messages, and requires --group")))
			}
			if err == nil {
				if ch.every, err = parseRate(ch.rate); err != nil {
					err = usage(cmd, err)
				}
			}
			if err != nil {
				return err
			}
			if ch.group != "" {
				return a.changeGroup(cmd, ch)
			}
			return a.parked(cmd, &ch.parkedFlags, func(ctx context.Context, set parkedSet) error {
				if err := ch.confirm(ctx, cmd, set); err != nil {
					return err
				}
				ctx, err := ch.logged(ctx, set.s)
				if err != nil {
					return err
				}
				return ch.run(ctx, cmd, set)
			})
		},
	}
	ch.add(c)
	c.Flags().BoolVar(&ch.all, "all", false, "all parked messages")
	c.Flags().StringVar(&ch.group, "group", "", "the group of parked deliveries whose fingerprint begins with these digits; see parked groups")
	c.Flags().StringVar(&ch.note, "note", "", "text for the action log, such as the number of a ticket")
	c.Flags().BoolVar(&ch.dryRun, "dry-run", false, "only list what would be "+ch.done)
	return c
}

// logged returns a context whose changes count in one entry of the action log. Without a database, or for a dry run, nothing is logged.
func (ch *parkedChange) logged(ctx context.Context, s *service.Service) (context.Context, error) {
	if ch.dryRun || s.Database() == nil {
		return ctx, nil
	}
	actor := operator(ch.note, 0)
	id, err := s.Database().LogAction(ctx, parley.Action{
		Name: map[parley.ParkedAction]string{parley.ParkedReplay: parley.ActionReplay, parley.ParkedDrop: parley.ActionDrop}[ch.action],
		By:   actor.Name, Host: actor.Host, Reason: actor.Reason, Filter: ch.text(),
	})
	if err != nil {
		return ctx, err
	}
	return asOperator(ctx, ch.note, id), nil
}

// run replays or drops the selected messages. It reports how many it skipped, and why.
func (ch *parkedChange) run(ctx context.Context, cmd *cobra.Command, set parkedSet) error {
	out := cmd.OutOrStdout()
	list := newParkedList(out, &output.Options{})
	seen := newProgress(cmd, "messages visited")
	defer seen.end()
	count, err := set.visit(ctx, &ch.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
		seen.add(1)
		if keep, err := ch.keeps(ctx, p); keep || err != nil {
			return parley.ParkedKeep, err
		}
		if ch.counted != nil && !ch.counted[p.id] {
			return parley.ParkedKeep, nil // parked since the question
		}
		ch.would++
		if ch.dryRun {
			return parley.ParkedKeep, list.print(p)
		}
		return ch.action, nil
	})
	if flushErr := list.Close(); err == nil {
		err = flushErr
	}
	seen.end()
	if ch.dryRun {
		report(out, "would have %s %d", ch.done, ch.would)
	} else {
		report(out, "%s %d", ch.done, count.done)
	}
	ch.beingHandled += count.running
	return errors.Join(err, ch.left(len(ch.ids)))
}

// keeps reports whether the command skips p, and counts the reason.
func (ch *parkedChange) keeps(ctx context.Context, p *parkedItem) (bool, error) {
	if p.running() {
		ch.beingHandled++
		return true, nil
	}
	if ch.action != parley.ParkedReplay {
		return false, nil
	}
	if !p.verified && !ch.unverified {
		ch.notVerified++
		return true, nil
	}
	if ch.force || p.Kind == parley.KindEvent || p.Kind == parley.KindReply {
		return false, nil
	}
	if err := p.full(ctx); errors.Is(err, parley.ErrNoFailure) {
		ch.gone++
		return true, nil
	} else if err != nil {
		return false, err
	}
	if at := parley.ExpiryOf(p.Message); !at.IsZero() && time.Now().After(at) {
		ch.expired++
		return true, nil
	}
	return false, nil
}

// left returns an error about skipped messages and ids that were not found.
func (ch *parkedChange) left(asked int) error {
	var errs []error
	note := func(n int, one, many, hint string) {
		switch {
		case n == 1:
			errs = append(errs, fmt.Errorf("skipped 1 message: %s (%s)", one, hint))
		case n > 1:
			errs = append(errs, fmt.Errorf("skipped %d messages: %s (%s)", n, many, hint))
		}
	}
	note(ch.notVerified, "retry history not verified", "retry history not verified",
		"inspect with parked show; add the old secret to consumer.secrets, or use --unverified")
	note(ch.expired, "it has expired, no handler starts it", "they have expired, no handler starts them", "use --force to replay anyway")
	note(ch.beingHandled, "it is being handled", "they are being handled", "repeat the command later")
	note(ch.gone, "it was handled or deleted meanwhile", "they were handled or deleted meanwhile", "parked ls lists what is left")
	picked := ch.would + ch.notVerified + ch.expired + ch.beingHandled + ch.gone
	if picked < asked && ch.exchange == "" && ch.routingKey == "" && ch.reason == "" {
		errs = append(errs, fmt.Errorf("not found: %d of %d ids", asked-picked, asked))
	}
	return errors.Join(errs...)
}

// confirm asks before it lets the command drop messages. Only those that it has counted are dropped.
func (ch *parkedChange) confirm(ctx context.Context, cmd *cobra.Command, set parkedSet) error {
	if ch.action != parley.ParkedDrop || ch.dryRun || ch.yes {
		return nil
	}
	ch.counted = map[string]bool{}
	_, err := set.visit(ctx, &ch.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
		if !p.running() {
			ch.counted[p.id] = true
		}
		return parley.ParkedKeep, nil
	})
	if err != nil || len(ch.counted) == 0 {
		return err
	}
	return ch.ask(cmd, "drop "+plural(len(ch.counted), "message"))
}

// plural returns texts such as "1 message" and "2 messages".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// parseRate returns the time between two messages of a rate such as 50/s, or 0 for an empty text.
func parseRate(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	span := map[string]time.Duration{"": time.Second, "s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || span == 0 || !(n > 0) || n > 1e6 {
		return 0, fmt.Errorf("--rate %q is not a rate such as 50/s, 100/m or 1000/h", text)
	}
	return max(time.Duration(float64(span)/n), time.Microsecond), nil
}
