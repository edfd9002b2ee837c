package service

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

// parkedFlags are what all parked commands understand.
type parkedFlags struct {
	parkedFilter
	consumer bool
}

func (f *parkedFlags) add(c *cobra.Command) {
	f.addConsumer(c)
	c.Flags().StringVar(&f.exchange, "exchange", "", "exchange; may contain the wildcards * and ?")
	c.Flags().StringVar(&f.routingKey, "routing-key", "", "routing key; may contain the wildcards * and ?")
	c.Flags().StringVar(&f.reason, "reason", "", "text that the reason contains")
}

func (f *parkedFlags) addConsumer(c *cobra.Command) {
	c.Flags().BoolVar(&f.consumer, "consumer", false, "what the consumer of --queue has parked on the broker, instead of what the relay has parked in the database")
}

func (f *parkedFlags) parse(cmd *cobra.Command, ids []string) error {
	f.ids = ids
	for _, pattern := range [...]string{f.exchange, f.routingKey} {
		if _, err := path.Match(pattern, ""); err != nil {
			return usage(cmd, fmt.Errorf("pattern %q: %w", pattern, err))
		}
	}
	return nil
}

// chosen makes sure that something was picked: an empty filter must not mean everything.
func (f *parkedFlags) chosen(cmd *cobra.Command) error {
	picked := len(f.ids) > 0 || f.exchange != "" || f.routingKey != "" || f.reason != ""
	if picked == f.all {
		return usage(cmd, errors.New("give ids or a filter, or --all"))
	}
	return nil
}

// parked opens the place that the flags mean.
func (a *app) parked(cmd *cobra.Command, f *parkedFlags, do func(ctx context.Context, place parkedPlace) error) error {
	if !f.consumer {
		return a.withDatabase(cmd, func(ctx context.Context, s *Service) error { return do(ctx, parkedRows{s.db}) })
	}
	return a.withBroker(cmd, func(ctx context.Context, s *Service) error {
		if err := s.Settings.need("queue"); err != nil {
			return err
		}
		place := parkedQueue{broker: s.Broker, queue: s.Settings.Queue}
		if secret := s.Settings.Consumer.Secret; secret != "" {
			place.secrets = [][]byte{[]byte(secret.Reveal())}
		}
		return do(ctx, place)
	})
}

func (a *app) parkedCommand() *cobra.Command {
	c := group("parked", "look after messages that were set aside for a person",
		a.parkedList(), a.parkedShow(), a.parkedReplay(), a.parkedDrop(), a.parkedExport(), a.parkedEdit())
	c.Long = `Looks after messages that were set aside: records that the broker could never accept, in the
database, and with --consumer deliveries whose handler kept failing, in <queue>.parked on the broker.
A replayed message keeps its identity and its history.`
	return c
}

func (a *app) parkedReplay() *cobra.Command {
	c := a.changeParked("replay", "give parked messages back, to be published or handled again", "replayed", parley.ParkedReplay)
	c.Long = `Gives parked messages back: records to the outbox, to be published again, and with --consumer
deliveries to their queue, to be tried by the whole retry plan. Messages in a parked queue that no
consumer has signed stay there: somebody else has put them there.`
	return c
}

func (a *app) parkedDrop() *cobra.Command {
	return a.changeParked("drop", "delete parked messages", "dropped", parley.ParkedDrop)
}

func (a *app) changeParked(use, short, done string, action parley.ParkedAction) *cobra.Command {
	var f parkedFlags
	var dryRun bool
	c := &cobra.Command{
		Use: use + " [id...]", Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(f.parse(cmd, args), f.chosen(cmd)); err != nil {
				return err
			}
			return a.parked(cmd, &f, func(ctx context.Context, place parkedPlace) error {
				list := newParkedList(cmd.OutOrStdout())
				would, unsigned := 0, 0
				n, err := place.visit(ctx, &f.parkedFilter, func(p *parkedItem) (parley.ParkedAction, error) {
					if action == parley.ParkedReplay && !p.signed {
						unsigned++
						return parley.ParkedKeep, nil
					}
					would++
					if dryRun {
						return parley.ParkedKeep, list.print(p)
					}
					return action, nil
				})
				err = errors.Join(err, list.flush())
				if dryRun {
					report(cmd.OutOrStdout(), "would have %s %d", done, would)
				} else {
					report(cmd.OutOrStdout(), "%s %d", done, n)
				}
				return errors.Join(err, missed(&f.parkedFilter, would, unsigned))
			})
		},
	}
	f.add(c)
	c.Flags().BoolVar(&f.all, "all", false, "all parked messages")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only list what would be "+done)
	return c
}

// missed says what was asked for but not there, or not touched.
func missed(f *parkedFilter, found, unsigned int) error {
	if unsigned > 0 {
		return fmt.Errorf("%d messages are not signed by a consumer, and stay", unsigned)
	}
	if found < len(f.ids) && f.exchange == "" && f.routingKey == "" && f.reason == "" {
		return fmt.Errorf("%d of the %d ids are not parked", len(f.ids)-found, len(f.ids))
	}
	return nil
}
