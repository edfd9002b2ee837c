package command

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
)

func (a *app) tailCommand() *cobra.Command {
	t := &tail{}
	c := &cobra.Command{
		Use: "tail exchange [pattern...]", Short: "print the messages of an exchange as they arrive",
		Long: `Prints the messages of an exchange. It binds a temporary queue of its own, so that no consumer loses a message. In patterns,
* matches one word and # any number of words; the default is #. The user needs permission to read the exchange, and to configure,
write and read queues named parley.tail.*.`,
		Example: "  parley tail user\n  parley tail user 'update.*' --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return usage(cmd, errors.New("give the exchange"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, &t.o); err != nil {
				return err
			}
			t.exchange, t.patterns, t.out, t.notes = args[0], args[1:], cmd.OutOrStdout(), cmd.ErrOrStderr()
			if len(t.patterns) == 0 {
				t.patterns = []string{"#"}
			}
			return a.withBroker(cmd, func(ctx context.Context, s *service.Service) error {
				t.broker = s.Broker
				return parley.Run(ctx, t)
			})
		},
	}
	t.o.Add(c)
	c.Flags().IntVar(&t.count, "count", 0, "end after this many messages (0: no limit)")
	return c
}

// A tail prints the messages that an exchange routes.
type tail struct {
	exchange string
	patterns []string
	o        output.Options
	count    int
	broker   parley.Broker
	out      io.Writer
	notes    io.Writer
	seen     int
}

// Run prints messages until ctx ends or count messages have arrived.
func (t *tail) Run(ctx context.Context) error {
	for {
		err := t.session(ctx)
		switch {
		case ctx.Err() != nil || err == nil:
			return nil
		case !errors.Is(err, parley.ErrSubscriptionLost):
			return err
		}
		report(t.notes, "tail: %v; reconnecting, messages may be missed", err)
		pause := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			pause.Stop()
		case <-pause.C:
		}
	}
}

// session prints messages from a queue that is deleted with the connection.
func (t *tail) session(ctx context.Context) (err error) {
	queue := "parley.tail." + rand.Text()
	topology := parley.Topology{Queues: []parley.Queue{{Name: queue, Exclusive: true}}}
	for _, p := range t.patterns {
		topology.Bindings = append(topology.Bindings, parley.Binding{Queue: queue, Exchange: t.exchange, RoutingKey: p})
	}
	if err := t.broker.Declare(ctx, topology); err != nil {
		return err
	}
	sub, err := t.broker.Subscribe(ctx, queue, parley.SubscribeOptions{Prefetch: 100})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	report(t.notes, "tail: watching exchange %s", terminal.Printable(t.exchange))
	for t.count == 0 || t.seen < t.count {
		d, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		t.seen++
		if err := errors.Join(t.print(d), d.Settle(parley.SettleAck)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tail) print(d *parley.Delivery) error {
	if t.o.Structured() {
		return t.o.List(t.out).Add(object{
			"exchange": d.Exchange, "routing_key": d.RoutingKey, "message_id": d.ID, "kind": d.Kind, "app_id": d.AppID,
			"correlation_id": d.CorrelationID, "timestamp": d.Timestamp, "headers": d.Headers, "body": jsonOrText(d.Body),
		})
	}
	_, err := fmt.Fprintf(t.out, "%s  %s  %s  %s\n", time.Now().Format("15:04:05.000"),
		terminal.Printable(d.Exchange), terminal.Printable(d.RoutingKey), terminal.Printable(string(d.Body)))
	return err
}
