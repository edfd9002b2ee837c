package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/cmd/parley/internal/demo"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
)

func demoCommand() *cobra.Command {
	var keep bool
	var address string
	c := &cobra.Command{
		Use: "demo", Short: "show events on their way from transactions to a consumer; needs no server",
		Long: `Creates a SQLite file in a temporary directory. Commits a transaction that publishes an event, and rolls
another one back. Schedules an event for a second later, and cancels another one by its tag. Relays the due
events to a broker in this process, consumes them, and prints each step.

The exit code is 0 only if exactly the right events arrived.

With --console the demo then goes on: a service in a file of its own with a trickle of events, failures and schedules, and a console at
the given address, until it is stopped. Messages may be changed there. Without accounts the address must be a loopback address.`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return parley.Run(cmd.Context(), parley.RunnerFunc(func(ctx context.Context) error { return runDemo(ctx, cmd, keep, address) }))
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep the SQLite file for inspection")
	c.Flags().StringVar(&address, "console", "", "go on with a console at this address, such as 127.0.0.1:8080")
	return c
}

// checkConsole checks the address of the console before the demo begins.
func checkConsole(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--console: %w (give host and port, such as 127.0.0.1:8080)", err)
	}
	if at, ok := l.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		err = fmt.Errorf("--console %q: the demo has no accounts, so its console listens on a loopback address only (such as 127.0.0.1:8080)", address)
	}
	return errors.Join(err, l.Close())
}

func runDemo(ctx context.Context, cmd *cobra.Command, keep bool, address string) (err error) {
	if address != "" {
		if err := checkConsole(address); err != nil {
			return err
		}
	}
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
	if address != "" && err == nil {
		fmt.Fprintf(out, "\nconsole: http://%s/ (stop with Ctrl+C)\n", address)
		err = demo.Live(ctx, filepath.Join(dir, "service.db"), address, &service.Config{LogOutput: cmd.ErrOrStderr()})
	}
	if keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(dir))
}
