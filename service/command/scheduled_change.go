package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

var errDryRun = errors.New("dry run")

func (a *app) scheduledCancel() *cobra.Command {
	return a.changeScheduled(&scheduledChange{
		use: "cancel", short: "delete scheduled messages by id, or with given tags", done: "cancelled", action: parley.ActionCancelScheduled,
		byTags: func(ctx context.Context, in *parley.TxOutbox, sel *selector, tags parley.Tags) (int, error) {
			return parley.Cancel(ctx, in, sel, tags)
		},
		byID: parley.CancelID,
	})
}

func (a *app) scheduledReschedule() *cobra.Command {
	var to string
	var at time.Time
	c := a.changeScheduled(&scheduledChange{
		use: "reschedule", short: "move scheduled messages to another time, by id or with given tags", done: "moved", action: parley.ActionMoveScheduled,
		prepare: func() (err error) {
			at, err = parseTime("--to", to)
			return err
		},
		byTags: func(ctx context.Context, in *parley.TxOutbox, sel *selector, tags parley.Tags) (int, error) {
			return parley.Reschedule(ctx, in, sel, tags, at)
		},
		byID: func(ctx context.Context, in *parley.TxOutbox, id int64) (bool, error) {
			return parley.RescheduleID(ctx, in, id, at)
		},
	})
	c.Flags().StringVar(&to, "to", "", "the new time, such as 2026-01-31T08:00:00Z, or +1h30m from now")
	return c
}

// parseTime reads the time of a flag: a time, or a duration from now.
func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, fmt.Errorf("give the time with %s, such as %[1]s 2026-01-31T08:00:00Z or %[1]s +1h30m", flag)
	}
	if ahead, ok := strings.CutPrefix(text, "+"); ok {
		if d, err := time.ParseDuration(ahead); err == nil {
			return time.Now().Add(d), nil
		}
	} else if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%s %q is neither a time such as 2026-01-31T08:00:00Z nor +1h30m", flag, text)
}

// A scheduledChange cancels or moves scheduled messages.
type scheduledChange struct {
	use, short, done string
	action           string       // in the action log
	prepare          func() error // checks further flags; may be nil
	byTags           func(ctx context.Context, in *parley.TxOutbox, sel *selector, tags parley.Tags) (int, error)
	byID             func(ctx context.Context, in *parley.TxOutbox, id int64) (bool, error)

	sel    selector
	tags   parley.Tags
	ids    []int64
	note   string // for the action log
	dryRun bool
}

// changeScheduled returns a command that changes the messages with ids or tags. A dry run rolls the change back, so that its count is
// exact.
func (a *app) changeScheduled(ch *scheduledChange) *cobra.Command {
	c := &cobra.Command{
		Use: ch.use + " [id...]", Short: ch.short, ValidArgsFunction: a.completeScheduled(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := ch.parse(cmd, args); err != nil {
				return err
			}
			return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
				n, err := ch.run(ctx, s)
				switch {
				case errors.Is(err, errDryRun):
					report(cmd.OutOrStdout(), "would have %s %d", ch.done, n)
					return nil
				case err == nil:
					report(cmd.OutOrStdout(), "%s %d", ch.done, n)
				}
				return err
			})
		},
	}
	ch.sel.flags(c)
	c.Flags().BoolVar(&ch.dryRun, "dry-run", false, "only count the messages")
	c.Flags().StringVar(&ch.note, "note", "", "text for the action log, such as the number of a ticket")
	return c
}

func (ch *scheduledChange) parse(cmd *cobra.Command, args []string) (err error) {
	if ch.tags, err = ch.sel.parse(cmd); err != nil {
		return err
	}
	if ch.ids, err = recordIDs(cmd, args); err != nil {
		return err
	}
	selected := ch.sel.exchange != "" && len(ch.tags) > 0
	switch {
	case len(args) > 0 && (ch.sel.exchange != "" || len(ch.tags) > 0):
		return usage(cmd, errors.New("give ids, or --exchange, --routing-key and --tag, not both"))
	case len(args) == 0 && !selected:
		return usage(cmd, errors.New("give ids (scheduled ls lists them), or --exchange, --routing-key and at least one --tag"))
	case ch.prepare != nil:
		if err := ch.prepare(); err != nil {
			return usage(cmd, err)
		}
	}
	return nil
}

// run changes the messages in one transaction, which also writes the action log. If an id does not exist, nothing is changed.
func (ch *scheduledChange) run(ctx context.Context, s *service.Service) (n int, err error) {
	ctx, logged, err := ch.logged(ctx, s)
	if err != nil {
		return 0, err
	}
	err = s.InTx(ctx, func(tx *service.Tx) (err error) {
		in := s.Outbox.In(tx)
		if len(ch.ids) == 0 {
			n, err = ch.byTags(ctx, in, &ch.sel, ch.tags)
		}
		for _, id := range ch.ids {
			changed, err := ch.byID(ctx, in, id)
			if err == nil && !changed {
				err = fmt.Errorf("%w; nothing was %s", notScheduled(id), ch.done)
			}
			if err != nil {
				return err
			}
			n++
		}
		if err == nil && ch.dryRun {
			err = errDryRun
		}
		return err
	})
	return n, errors.Join(err, logged(n, err))
}

// logged returns a context whose changes are logged in their transaction, and a function for the end of the change. Several ids count
// in one entry. The store of a Django outbox has no log in its transactions: its entry is written afterwards, if parley's tables exist.
func (ch *scheduledChange) logged(ctx context.Context, s *service.Service) (context.Context, func(n int, err error) error, error) {
	nothing := func(int, error) error { return nil }
	if ch.dryRun {
		return ctx, nothing, nil
	}
	log, actor := s.Database(), operator(ch.note, 0)
	entry := parley.Action{Name: ch.action, By: actor.Name, Host: actor.Host, Reason: actor.Reason, Filter: ch.text()}
	switch {
	case !log.LogsSchedule():
		return ctx, func(n int, err error) error {
			if entry.Changed = int64(n); err != nil || n == 0 {
				return nil
			}
			if _, err = log.LogAction(context.WithoutCancel(ctx), entry); errors.Is(err, parley.ErrControlNotReady) {
				return nil
			}
			return err
		}, nil
	case len(ch.ids) < 2:
		return asOperator(ctx, ch.note, 0), nothing, nil
	}
	id, err := log.LogAction(ctx, entry)
	return asOperator(ctx, ch.note, id), func(_ int, err error) error {
		if err == nil {
			return nil
		}
		return log.UpdateAction(context.WithoutCancel(ctx), parley.Action{ID: id, State: parley.ActionStopped, Detail: err.Error()})
	}, err
}

// text names the selected messages in the action log.
func (ch *scheduledChange) text() string {
	if len(ch.ids) > 0 {
		return parley.IDsText(ch.ids)
	}
	sel := parley.Selection{Exchange: ch.sel.exchange, RoutingKey: ch.sel.routingKey, Tags: map[string]string{}}
	for name, value := range ch.tags {
		sel.Tags[name] = fmt.Sprint(value)
	}
	return sel.String()
}
