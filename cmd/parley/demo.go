package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/cmd/parley/internal/demo"
	"github.com/parley-go/parley/service/command"
)

func demoCommand() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "demo", Short: "show events on their way from transactions to a consumer; needs no server",
		Long: `Creates a SQLite file in a temporary directory. Commits a transaction that publishes an event, and rolls
another one back. Schedules an event for a second later, and cancels another one by its tag. Relays the due
events to a broker in this process, consumes them, and prints each step.

The exit code is 0 only if exactly the right events arrived.`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return parley.Run(cmd.Context(), parley.RunnerFunc(func(ctx context.Context) error { return runDemo(ctx, cmd, keep) }))
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep the SQLite file for inspection")
	return c
}

func runDemo(ctx context.Context, cmd *cobra.Command, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "parley-demo-")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "outbox.db")
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "outbox: SQLite file %s; broker: in this process\n\n", path)
	store, err := demo.OpenSQLite(ctx, path)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	err = errors.Join(demo.Run(ctx, out, store), store.Close())
	if keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(dir))
}
