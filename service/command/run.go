package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "run relay, consumer and health endpoints together", Args: NoArgs,
		Long: `Runs the relay, the consumer and, with http.address, the health endpoints in one process.
A service without a database has no relay. A service without handlers has no consumer.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHandlers(cmd, []string{"broker.url"}, func(ctx context.Context, s *service.Service) error {
				parts, err := s.Parts()
				if err != nil {
					return err
				}
				return s.Run(ctx, parts)
			})
		},
	}
}

func (a *app) consumerCommand() *cobra.Command {
	var drain bool
	c := &cobra.Command{
		Use: "consumer", Short: "handle the messages of the queue", Args: NoArgs,
		Long: `Handles the messages of the queue until it is stopped. With --drain it takes no messages from the queue. It handles the failed
deliveries that wait in the database, each when it is due, and ends when none is left. Parked ones stay. If an operator has paused the queue,
--drain fails.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withHandlers(cmd, []string{"broker.url", "queue"}, func(ctx context.Context, s *service.Service) error {
				if s.Settings.Broker.URL.IsMemory() {
					return separate(s.Settings, cmd.CommandPath())
				}
				if drain {
					return drainConsumer(ctx, s, cmd)
				}
				return s.Run(ctx, service.PartConsumer)
			})
		},
	}
	c.Flags().BoolVar(&drain, "drain", false, "handle the failed deliveries that wait in the database, then end; take no messages from the queue")
	return c
}

// withHandlers is with, and registers the handlers before it calls do.
func (a *app) withHandlers(cmd *cobra.Command, keys []string, do func(ctx context.Context, s *service.Service) error) error {
	standIn := func(s *settings.Settings) {
		if len(keys) == 0 && s.Database.URL == "" {
			s.Database.URL = "memory:" // the command only lists: handlers for transactions need an inbox to be registered
		}
	}
	return a.withSettings(cmd, readWrite, keys, standIn, func(ctx context.Context, s *service.Service) error {
		if err := a.handlers(s); err != nil {
			return err
		}
		s.Doctor = a.doctorOf(s)
		return do(ctx, s)
	})
}

// handlers registers the handlers. A panic of a registration, such as of a handler for a transaction without a database, is an error
// with the text of the panic.
func (a *app) handlers(s *service.Service) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("register handlers: %v", v)
		}
	}()
	if err := a.register(s); err != nil {
		return fmt.Errorf("register handlers: %w", err)
	}
	return nil
}
