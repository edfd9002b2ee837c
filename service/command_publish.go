package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

// messageFlags are those of publish and send.
type messageFlags struct {
	payload, file string
	at, key       string
	tags          []string
	timeout       time.Duration
}

func (f *messageFlags) add(c *cobra.Command, what string) {
	c.Flags().StringVar(&f.payload, what, "", what+" as JSON")
	c.Flags().StringVar(&f.file, "file", "", "file that holds the "+what+" (-: standard input)")
	c.Flags().StringVar(&f.at, "at", "", "schedule it: a time such as 2026-01-31T08:00:00Z, or +1h30m from now")
	c.Flags().StringArrayVar(&f.tags, "tag", nil, "name=value to find a scheduled message by; may be repeated")
	c.Flags().StringVar(&f.key, "key", "", "ordering key")
	c.Flags().DurationVar(&f.timeout, "timeout", 15*time.Second, "how long database or broker may take")
}

// read returns the payload and the options that the flags mean.
func (f *messageFlags) read(cmd *cobra.Command) (payload json.RawMessage, options []parley.Option, err error) {
	switch {
	case (f.payload == "") == (f.file == ""):
		err = usage(cmd, errors.New("give the JSON as a flag or as --file, one of them"))
	case f.file != "":
		payload, err = readInput(cmd, f.file)
	case !json.Valid([]byte(f.payload)):
		err = usage(cmd, errors.New("this is not JSON: put it in single quotes for the shell"))
	default:
		payload = json.RawMessage(f.payload)
	}
	if f.key != "" {
		options = append(options, parley.Key(f.key))
	}
	if err != nil || f.at == "" && len(f.tags) == 0 {
		return payload, options, err
	}
	if f.at == "" {
		return nil, nil, usage(cmd, errors.New("--tag is for scheduled messages: add --at"))
	}
	at, err := parseTo(f.at)
	if err != nil {
		return nil, nil, usage(cmd, err)
	}
	options = append(options, parley.At(at))
	if len(f.tags) > 0 {
		sel := selector{tags: f.tags}
		tags, err := sel.parseTags(cmd)
		if err != nil {
			return nil, nil, err
		}
		options = append(options, parley.WithTags(tags))
	}
	return payload, options, nil
}

// contract makes a contract of names from the command line; a name that AMQP cannot take
// panics in a program, but is a plain mistake here.
func contract[C any](cmd *cobra.Command, make func() C) (c C, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = usage(cmd, fmt.Errorf("%v", v))
		}
	}()
	return make(), nil
}

// twoNames is the argument check of publish and send.
func twoNames(first, second string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 {
			return nil
		}
		return usage(cmd, fmt.Errorf("give %s and %s", first, second))
	}
}

func (a *app) publishCommand() *cobra.Command {
	var f messageFlags
	var direct bool
	c := &cobra.Command{
		Use: "publish aggregate event-type", Short: "publish an event", Args: twoNames("the aggregate (exchange)", "the event type (routing key)"),
		Long: `Records an event in the outbox; a relay sends it. With --direct it goes straight to the broker, and
its eventId is made of the time.`,
		Example: `  parley publish user renamed --payload '{"userId": 1}'
  parley publish user remind.photo --payload '{"userId": 1}' --at +1h --tag user_id=1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			payload, options, err := f.read(cmd)
			if err != nil {
				return err
			}
			e, err := contract(cmd, func() *parley.EventType[json.RawMessage] {
				return parley.NewEvent[json.RawMessage](args[0], args[1])
			})
			if err != nil {
				return err
			}
			rec, err := e.Record(payload, options...)
			if err != nil {
				return usage(cmd, err)
			}
			return a.emit(cmd, rec, &f, direct)
		},
	}
	f.add(c, "payload")
	c.Flags().BoolVar(&direct, "direct", false, "straight to the broker, without the outbox")
	return c
}

func (a *app) sendCommand() *cobra.Command {
	var f messageFlags
	var outbox bool
	var expires time.Duration
	c := &cobra.Command{
		Use: "send service command", Short: "send a command", Args: twoNames("the service (exchange)", `the command's name (routing key; "" if it has none)`),
		Long: `Sends a command straight to the broker; exit code 1 if no queue takes it. With --outbox, or --at, it
is recorded in the outbox, and a relay sends it.`,
		Example: `  parley send sms "" --arguments '{"phone": "998990000000", "text": "Hello"}' --expires-in 1m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			payload, options, err := f.read(cmd)
			if err != nil {
				return err
			}
			if expires != 0 {
				options = append(options, parley.ExpiresIn(expires))
			}
			command, err := contract(cmd, func() *parley.CommandType[json.RawMessage] {
				return parley.NewCommand[json.RawMessage](args[0], args[1])
			})
			if err != nil {
				return err
			}
			rec, err := command.Record(payload, options...)
			if err != nil {
				return usage(cmd, err)
			}
			return a.emit(cmd, rec, &f, !outbox && f.at == "")
		},
	}
	f.add(c, "arguments")
	c.Flags().BoolVar(&outbox, "outbox", false, "through the outbox")
	c.Flags().DurationVar(&expires, "expires-in", 0, "do not start the command later than this")
	return c
}

// emit records or sends one message.
func (a *app) emit(cmd *cobra.Command, rec parley.Record, f *messageFlags, direct bool) error {
	if direct {
		if !rec.DueAt.IsZero() {
			return usage(cmd, errors.New("--at needs the outbox: leave out --direct"))
		}
		return a.withBroker(cmd, func(ctx context.Context, s *Service) error {
			ctx, cancel := context.WithTimeout(ctx, f.timeout)
			defer cancel()
			rec.AppID = s.Settings.AppID
			rec.Body = parley.FinishBody(rec.Kind, time.Now().UnixMicro(), rec.Body)
			if err := s.Broker.Ready(ctx); err != nil {
				return fmt.Errorf("the broker does not answer: %w", err)
			}
			if errs := s.Broker.Publish(ctx, []parley.Message{rec.Message}); errs != nil {
				return errs[0]
			}
			report(cmd.OutOrStdout(), "sent; a queue has taken it (message id %s)", rec.Message.ID)
			return nil
		})
	}
	return a.withDatabase(cmd, func(ctx context.Context, s *Service) error {
		ctx, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		return s.InTx(ctx, func(tx *Tx) error {
			ids, err := s.Outbox.In(tx).Record(ctx, rec)
			if err == nil {
				report(cmd.OutOrStdout(), "recorded in the outbox (id %d, message id %s)", ids[0], rec.Message.ID)
			}
			return err
		})
	})
}
