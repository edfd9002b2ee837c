package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service"
)

// limited marks a flag --timeout that is for the first answer of the database.
const limited = "limited"

// limit adds the flag --timeout to commands that work on the database, and to their subcommands.
func limit(commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.PersistentFlags().Duration("timeout", loginTimeout, "timeout for the first answer of the database")
		c.PersistentFlags().Lookup("timeout").Annotations = map[string][]string{limited: {}}
	}
	return commands
}

// reachDatabase waits for an answer of the database, at most for the flag --timeout of limit. It returns only the error that there is
// none: others are for the command, which knows what it wants of the database. The drivers' pools would wait for a connection without end.
func reachDatabase(cmd *cobra.Command, s *service.Service) error {
	flag := cmd.Flags().Lookup("timeout")
	if flag == nil || flag.Annotations[limited] == nil || s.Database() == nil {
		return nil
	}
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout,
		fmt.Errorf("gave up after %v: database %s is unreachable or slow (see --timeout, and run: doctor)", timeout, s.Settings.Database.URL))
	defer cancel()
	if err := s.Database().Ping(ctx); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// loginTimeout is how long a command waits for the first login to the broker or the database.
const loginTimeout = 15 * time.Second
