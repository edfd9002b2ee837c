package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
	"github.com/parley-go/parley/service/settings"
)

// open opens the service that the settings describe, runs work with it until the program is stopped, and closes it.
func open(cmd *cobra.Command, do func(ctx context.Context, s *service.Service) error) error {
	loaded, err := settings.Load(&settings.LoadOptions{Flags: cmd.Flags()})
	if err != nil {
		return err
	}
	s, err := service.Open(loaded, nil)
	if err != nil {
		return err
	}
	return errors.Join(do(cmd.Context(), s), s.Close(cmd.Context()))
}

func produceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "produce", Short: "commit events, one in a transaction, until it is stopped", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return open(cmd, produce) },
	}
}

// produce commits events from number VICTIM_FIRST on, the exchanges in turn, with a pause of VICTIM_PAUSE milliseconds
// after each.
func produce(ctx context.Context, s *service.Service) error {
	first, err := number("VICTIM_FIRST")
	if err != nil {
		return err
	}
	pause, err := number("VICTIM_PAUSE")
	if err != nil {
		return err
	}
	events := contracts(s)
	for n := first; ctx.Err() == nil; n++ {
		event := events[int(n)%len(events)]
		err := s.InTx(ctx, func(tx *service.Tx) error {
			id, err := parley.Publish(ctx, s.Outbox.In(tx), event, fact{Number: n})
			if err == nil {
				err = execute(ctx, tx, fmt.Sprintf(
					"INSERT INTO ledger (number, exchange, event_id, fate) VALUES (%d, '%s', %d, 'committed')", n, event.Exchange(), id))
			}
			if err == nil {
				err = failpoint.Hit("victim.committing")
			}
			return err
		})
		if err == nil {
			err = failpoint.Hit("victim.committed")
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("event %d: %w", n, err)
		}
		if n == first {
			s.Logger.Info("victim: first event committed", "number", n)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(pause) * time.Millisecond):
		}
	}
	return nil
}
