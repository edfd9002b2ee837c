package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

// checkLimits say when an outbox counts as stuck.
type checkLimits struct {
	delay   time.Duration
	pending int64
	parked  int64
}

func (a *app) checkCommand() *cobra.Command {
	var l checkLimits
	var asJSON bool
	var timeout time.Duration
	c := &cobra.Command{
		Use: "check", Short: "tell whether events get out", Args: NoArgs,
		Long: `Tells whether events get out of the outbox, for health checks and monitoring. It looks at every
row of the table.

Exit codes: 0 they do; 1 they do not: the oldest due event has waited longer than --max-delay
while more than --max-pending are due, there are rows that can never become due, or more than
--max-parked are parked; 2 cannot tell: the database does not answer, or the settings are wrong.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := a.withDatabase(cmd, func(ctx context.Context, s *Service) error {
				ctx, cancel := context.WithTimeout(ctx, timeout)
				defer cancel()
				st, err := s.db.Stats(ctx)
				if err != nil {
					return err
				}
				return l.judge(cmd, st, asJSON)
			})
			if _, judged := errors.AsType[*exitError](err); judged || err == nil || exitCode(err) == ExitUsage {
				return err
			}
			return &exitError{ExitUsage, fmt.Errorf("cannot tell: %w", err)}
		},
	}
	c.Flags().DurationVar(&l.delay, "max-delay", 10*time.Second, "longest time that the oldest due event may have waited")
	c.Flags().Int64Var(&l.pending, "max-pending", 0, "most due events that may wait longer than that")
	c.Flags().Int64Var(&l.parked, "max-parked", -1, "most parked events (-1: any number)")
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long the database may take to answer")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// problems tells what is wrong.
func (l *checkLimits) problems(st parley.OutboxStats) []string {
	out := []string{}
	if st.OldestDue > l.delay && st.Due > l.pending {
		out = append(out, fmt.Sprintf("%d events are due, the oldest for %v: is a relay running, and can it reach the broker?", st.Due, st.OldestDue.Round(time.Millisecond)))
	}
	if st.NeverDue > 0 {
		out = append(out, fmt.Sprintf("%d rows can never become due: they have no time", st.NeverDue))
	}
	if l.parked >= 0 && st.Parked > l.parked {
		out = append(out, fmt.Sprintf("%d events are parked: see the command parked", st.Parked))
	}
	return out
}

func (l *checkLimits) judge(cmd *cobra.Command, st parley.OutboxStats, asJSON bool) error {
	problems := l.problems(st)
	out := cmd.OutOrStdout()
	if asJSON {
		err := json.NewEncoder(out).Encode(map[string]any{
			"healthy": len(problems) == 0, "problems": problems, "due": st.Due, "oldest_due_seconds": st.OldestDue.Seconds(),
			"scheduled": st.Scheduled, "never_due": st.NeverDue, "parked": st.Parked,
		})
		if err != nil {
			return err
		}
	} else {
		report(out, "due %d, oldest for %v; scheduled %d; parked %d", st.Due, st.OldestDue.Round(time.Millisecond), st.Scheduled, st.Parked)
		for _, p := range problems {
			report(out, "UNHEALTHY: %s", p)
		}
	}
	if len(problems) > 0 {
		return &exitError{code: ExitFailed}
	}
	return nil
}
