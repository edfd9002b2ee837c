package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/demo"
	"github.com/parley-go/parley/service"
)

func demoCommand() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "demo", Short: "watch events go from transactions to a consumer; needs nothing",
		Long: `Creates a SQLite file in a temporary directory, commits one transaction that publishes an event,
rolls one back, schedules an event for a second later and cancels another one by its tag; relays
what is due to a broker within this process, consumes it and prints what happens as it happens.

Exit code 0 only if exactly the right events arrived.`,
		Args: service.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return parley.Run(cmd.Context(), parley.RunnerFunc(func(ctx context.Context) error { return runDemo(ctx, cmd, keep) }))
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep the SQLite file, to look at it")
	return c
}

func runDemo(ctx context.Context, cmd *cobra.Command, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "parley-demo-")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "outbox.db")
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "outbox: SQLite file %s; broker: within this process\n\n", path)
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
