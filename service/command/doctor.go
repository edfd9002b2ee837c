package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

func (a *app) doctorCommand() *cobra.Command {
	var o output.Options
	var timeout time.Duration
	c := &cobra.Command{
		Use: "doctor", Short: "diagnose database and broker, with a hint for each problem", Args: NoArgs,
		Long: `Connects to database and broker, and examines server versions, tables, privileges, clocks, exchanges, queues, handlers
without a binding, and events that are not published in time. With broker.management_url it also examines the cluster. It changes nothing. The exit code is 1 if there is a problem.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			return a.examined(cmd, func(ctx context.Context, s *service.Service, closed error) error {
				d := &doctor{s: s, timeout: timeout, hasHandlers: a.register != nil, closed: closed}
				if a.register != nil {
					d.registered = a.handlers(s)
				}
				found := d.examine(ctx)
				problems := 0
				for _, f := range found {
					if f.Level == parley.FindingProblem {
						problems++
					}
				}
				if err := o.Document(cmd.OutOrStdout(), inJSON(found), func(w io.Writer) error { writeFindings(w, found); return nil }); err != nil {
					return err
				}
				if problems > 0 {
					return &exitError{ExitFailed, fmt.Errorf("problems found: %d", problems)}
				}
				return nil
			})
		},
	}
	o.Add(c)
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "timeout for the database, and for the broker")
	return c
}

// examined opens the service for reading. If the database cannot be opened, such as a file that does not exist, it calls do with the
// error and with a database in memory, so that the rest is examined too.
func (a *app) examined(cmd *cobra.Command, do func(ctx context.Context, s *service.Service, closed error) error) error {
	closed := a.withAccess(cmd, readOnly, nil, func(context.Context, *service.Service) error { return nil })
	if _, mistake := errors.AsType[*settings.Error](closed); mistake {
		return closed
	}
	return a.withSettings(cmd, readOnly, nil, func(s *settings.Settings) {
		if closed != nil {
			s.Database = settings.Database{URL: "memory:"}
		}
	}, func(ctx context.Context, s *service.Service) error { return do(ctx, s, closed) })
}

func writeFindings(w io.Writer, found []parley.Finding) {
	style := output.StyleOf(w)
	for _, f := range found {
		level := fmt.Sprintf("%-8s", f.Level)
		if f.Level == parley.FindingProblem {
			level = style.Red(level)
		}
		report(w, "%s %s: %s", level, terminal.Printable(f.Name), terminal.Printable(f.Detail))
		if f.Hint != "" {
			report(w, "%-8s -> %s", "", terminal.Printable(f.Hint))
		}
	}
}

// inJSON converts findings to their JSON form.
func inJSON(found []parley.Finding) []finding {
	out := make([]finding, len(found))
	for i, f := range found {
		out[i] = finding{f.Level, f.Name, f.Detail, f.Hint}
	}
	return out
}
