package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
)

// messageFlags are the flags of publish and send.
type messageFlags struct {
	payload, file string
	name          string // of the flag with the payload
	at, key       string
	tags          []string
	timeout       time.Duration
}

func (f *messageFlags) add(c *cobra.Command, what string) {
	f.name = what
	c.Flags().StringVar(&f.payload, what, "", what+" as JSON")
	c.Flags().StringVar(&f.file, "file", "", "file that contains the "+what+" (-: standard input)")
	c.Flags().StringVar(&f.at, "at", "", "schedule the message: a time such as 2026-01-31T08:00:00Z, or +1h30m from now")
	c.Flags().StringArrayVar(&f.tags, "tag", nil, "tag name=value of a scheduled message; may be repeated")
	c.Flags().StringVar(&f.key, "key", "", "ordering key")
	c.Flags().DurationVar(&f.timeout, "timeout", 15*time.Second, "timeout for database or broker")
}

// read returns the payload and the options of the flags.
func (f *messageFlags) read(cmd *cobra.Command) (payload json.RawMessage, options []parley.ScheduleOption, err error) {
	switch {
	case (f.payload == "") == (f.file == ""):
		err = usage(cmd, fmt.Errorf("give the JSON with --%s or with --file, not both", f.name))
	case f.file != "":
		payload, err = readInput(cmd, f.file)
	case !json.Valid([]byte(f.payload)):
		err = usage(cmd, fmt.Errorf("--%s is not JSON (put it in single quotes for the shell)", f.name))
	default:
		payload = json.RawMessage(f.payload)
	}
	if f.key != "" {
		options = append(options, parley.WithKey(f.key))
	}
	if err != nil || f.at == "" && len(f.tags) == 0 {
		return payload, options, err
	}
	if f.at == "" {
		return nil, nil, usage(cmd, errors.New("--tag requires --at: only scheduled messages have tags"))
	}
	at, err := parseTime("--at", f.at)
	if err != nil {
		return nil, nil, usage(cmd, err)
	}
	options = append(options, parley.WithDueAt(at))
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

// contract calls a constructor of contracts with names from the command line. The constructor panics on a name that AMQP does not
// allow; contract returns an error instead.
func contract[C any](cmd *cobra.Command, make func() C) (c C, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = usage(cmd, fmt.Errorf("%v", v))
		}
	}()
	return make(), nil
}

// twoNames checks the arguments of publish and send.
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
		Long: `Records an event in the outbox; a relay publishes it. With --direct it is published to the broker without the outbox,
and its eventId is derived from the time.`,
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
			var publish []parley.PublishOption
			for _, o := range options {
				publish = append(publish, o)
			}
			record := func(more ...parley.MessageOption) (parley.Record, error) {
				for _, o := range more {
					publish = append(publish, o)
				}
				return e.Record(payload, publish...)
			}
			return a.emit(cmd, record, &f, direct)
		},
	}
	f.add(c, "payload")
	c.Flags().BoolVar(&direct, "direct", false, "publish to the broker, without the outbox")
	return c
}

func (a *app) sendCommand() *cobra.Command {
	var f messageFlags
	var outbox bool
	var expires time.Duration
	c := &cobra.Command{
		Use: "send service command", Short: "send a command", Args: twoNames("the service (exchange)", `the command's name (routing key; "" if it has none)`),
		Long: `Sends a command to the broker. The exit code is 1 if the command is unroutable. With --outbox or --at, the command is
recorded in the outbox, and a relay publishes it.`,
		Example: `  parley send sms "" --arguments '{"phone": "998990000000", "text": "Hello"}' --expires-in 1m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			payload, options, err := f.read(cmd)
			if err != nil {
				return err
			}
			var send []parley.SendTxOption
			for _, o := range options {
				send = append(send, o)
			}
			if expires != 0 {
				send = append(send, parley.WithExpiresIn(expires))
			}
			command, err := contract(cmd, func() *parley.CommandType[json.RawMessage] {
				return parley.NewCommand[json.RawMessage](args[0], args[1])
			})
			if err != nil {
				return err
			}
			record := func(more ...parley.MessageOption) (parley.Record, error) {
				for _, o := range more {
					send = append(send, o)
				}
				return command.Record(payload, send...)
			}
			return a.emit(cmd, record, &f, !outbox && f.at == "")
		},
	}
	f.add(c, "arguments")
	c.Flags().BoolVar(&outbox, "outbox", false, "record the command in the outbox")
	c.Flags().DurationVar(&expires, "expires-in", 0, "time after which no handler starts the command")
	return c
}

// emit records or sends one message. It makes it twice: to find mistakes before anything is opened, and by the key rules of
// the settings.
func (a *app) emit(cmd *cobra.Command, record func(...parley.MessageOption) (parley.Record, error), f *messageFlags, direct bool) error {
	rec, err := record()
	if err != nil {
		return usage(cmd, err)
	}
	again := func(s *service.Service) (err error) {
		if rules := s.Settings.Keys.Rules(); rules != nil {
			rec, err = record(parley.WithKeyRules(*rules))
		}
		return err
	}
	if direct {
		if !rec.DueAt.IsZero() {
			return usage(cmd, errors.New("--at requires the outbox: leave out --direct"))
		}
		return a.withBroker(cmd, func(ctx context.Context, s *service.Service) error {
			ctx, cancel := context.WithTimeout(ctx, f.timeout)
			defer cancel()
			if err := again(s); err != nil {
				return err
			}
			rec.AppID = s.Settings.AppID
			rec.Body = parley.FinishBody(rec.Kind, time.Now().UnixMicro(), rec.Body)
			if err := s.Broker.Ready(ctx); err != nil {
				return fmt.Errorf("broker unreachable: %w", err)
			}
			if errs := s.Broker.Publish(ctx, []parley.Message{rec.Message}); errs != nil {
				return errs[0]
			}
			report(cmd.OutOrStdout(), "sent and routed to a queue (message id %s)", rec.Message.ID)
			return nil
		})
	}
	return a.withDatabase(cmd, func(ctx context.Context, s *service.Service) error {
		ctx, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		if err := again(s); err != nil {
			return err
		}
		var ids []int64
		err := s.InTx(ctx, func(tx *service.Tx) (err error) {
			ids, err = s.Outbox.In(tx).Record(ctx, rec)
			return err
		})
		if err != nil {
			return err
		}
		report(cmd.OutOrStdout(), "recorded in the outbox (id %d, message id %s)", ids[0], rec.Message.ID)
		warnUnknownExchange(ctx, cmd, s, rec.Exchange)
		return nil
	})
}

// exchangeTimeout is how long publish looks for the exchange of a recorded event.
const exchangeTimeout = 3 * time.Second

// warnUnknownExchange warns of an exchange that the broker does not have, perhaps a typing error: the relay may declare it, and the
// broker then drops the event. AMQP does not show bindings.
func warnUnknownExchange(ctx context.Context, cmd *cobra.Command, s *service.Service, exchange string) {
	if s.Broker == nil || s.Settings.Broker.URL.IsMemory() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	err := s.Broker.Declare(ctx, parley.Topology{Mode: parley.TopologyVerify, Exchanges: []parley.Exchange{{Name: exchange}}})
	if missing, ok := errors.AsType[*parley.TopologyError](err); ok && missing.Code == 404 {
		fate := "no queue gets this message (a typing error? run \"topology apply\" of its consumer, or set relay.unroutable: park)"
		if u := s.Settings.Relay.Unroutable; u == "park" || u == "retry" {
			fate = "no queue gets this message yet; relay.unroutable: " + u + " keeps it (a typing error? run \"topology apply\" of its consumer)"
		}
		report(cmd.ErrOrStderr(), "warning: the broker has no exchange %s, so %s", terminal.Printable(exchange), fate)
	} else if err != nil {
		report(cmd.ErrOrStderr(), "note: the broker could not be asked whether it has the exchange %s; the message is safe in the outbox", terminal.Printable(exchange))
	}
}
