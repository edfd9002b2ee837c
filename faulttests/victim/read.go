package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
)

func readCommand() *cobra.Command {
	return &cobra.Command{
		Use: "read", Short: "read ledger and outbox over and over, until it is stopped", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return open(cmd, read) },
	}
}

// read reads both tables in one statement, so in one snapshot: no event is in the outbox without its line in
// the ledger.
func read(ctx context.Context, s *service.Service) error {
	store, ok := s.Store().(interface{ DB() *sql.DB })
	if !ok {
		return fmt.Errorf("%T does not use database/sql", s.Store())
	}
	for looks := 0; ; looks++ {
		var strays int
		err := store.DB().QueryRowContext(ctx, "SELECT count(*) FROM parley_outbox WHERE id NOT IN (SELECT event_id FROM ledger)").Scan(&strays)
		if ctx.Err() != nil {
			s.Logger.Info("victim: reading finished", "times", looks)
			return nil
		}
		if err == nil && strays > 0 {
			err = fmt.Errorf("%d events without a line in the ledger", strays)
		}
		if err != nil {
			return fmt.Errorf("read %d: %w", looks, err)
		}
		if looks == 0 {
			s.Logger.Info("victim: reading started")
		}
	}
}
