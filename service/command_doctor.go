package service

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "doctor", Short: "look at database and broker, and say what is wrong and how to mend it", Args: NoArgs,
		Long: `Connects to what the settings name and looks at server versions, tables, rights, clocks, exchanges,
queues, and events that do not get out. Changes nothing. Exit code 1 if it finds a problem.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, nil, func(ctx context.Context, s *Service) error {
				d := &doctor{s: s, timeout: timeout}
				found := d.examine(ctx)
				if asJSON {
					enc := json.NewEncoder(cmd.OutOrStdout())
					enc.SetIndent("", "  ")
					if err := enc.Encode(found); err != nil {
						return err
					}
				}
				problems := 0
				for _, f := range found {
					if f.Verdict == verdictProblem {
						problems++
					}
					if !asJSON {
						report(cmd.OutOrStdout(), "%-8s %s: %s", f.Verdict, printable(f.What), printable(f.Text))
						if f.Mend != "" {
							report(cmd.OutOrStdout(), "%-8s -> %s", "", printable(f.Mend))
						}
					}
				}
				if problems > 0 {
					return &exitError{ExitFailed, fmt.Errorf("problems found: %d", problems)}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "how long database and broker may each take")
	return c
}
