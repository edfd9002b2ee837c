package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/status"
)

func (a *app) statusCommand() *cobra.Command {
	var o output.Options
	var w watchFlags
	var timeout time.Duration
	c := &cobra.Command{
		Use: "status", Short: "show relay, queues, retries, parked messages and last errors on one screen", Args: NoArgs,
		Long: `Shows the state of the service: which relay leads and how far it lags, the messages and consumers of the queues, failed
deliveries that wait for a retry, parked messages, the last errors, and what needs a person. It changes nothing.

It is cheap: it counts at most 10000 rows of a kind and then shows ">= 10000". The exit code does not depend on the state (see
check for that); it is 1 if nothing could be read.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(w.check(cmd), checkFormat(cmd, &o)); err != nil {
				return err
			}
			return a.with(cmd, nil, func(ctx context.Context, s *service.Service) error {
				if s.Database() == nil && s.Broker == nil {
					return s.Settings.Need("database.url")
				}
				if s.Settings.Database.URL.IsMemory() || s.Database() == nil && s.Settings.Broker.URL.IsMemory() {
					return separate(s.Settings, cmd.CommandPath())
				}
				return w.run(ctx, cmd, o.Structured(), func(ctx context.Context, out io.Writer) error {
					limited, cancel := context.WithTimeout(ctx, timeout)
					defer cancel()
					return showStatus(out, &o, s.Status(limited))
				})
			})
		},
	}
	o.Add(c)
	w.add(c)
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "timeout for database and broker")
	return c
}

// checkFormat returns a usage error for a wrong -o.
func checkFormat(cmd *cobra.Command, o *output.Options) error {
	if err := o.Check(); err != nil {
		return usage(cmd, err)
	}
	return nil
}

// showStatus prints a status. It returns an error if nothing could be read.
func showStatus(out io.Writer, o *output.Options, st *status.Status) error {
	err := o.Document(out, st, func(w io.Writer) error { return (&statusScreen{w: w, o: o, style: output.StyleOf(w)}).print(st) })
	if err == nil && st.Relay == nil && len(st.Queues) == 0 && len(st.Unknown) > 0 {
		return &exitError{code: ExitFailed}
	}
	return err
}

// A statusScreen prints a status as sections of tables.
type statusScreen struct {
	w     io.Writer
	o     *output.Options
	style output.Style
}

func (s *statusScreen) print(st *status.Status) error {
	verdict := s.style.Green("no problems")
	if n := len(st.Problems) + len(st.Unknown); n > 0 {
		verdict = s.style.Red(plural(n, "problem"))
	}
	if n := len(st.Pauses); n > 0 {
		verdict += ", " + s.style.Red(fmt.Sprintf("%d paused", n))
	}
	name := terminal.Printable(st.AppID)
	if name == "" {
		name = "status"
	}
	report(s.w, "%s  %s  %s", s.style.Bold(name), st.At.UTC().Format(time.RFC3339), verdict)
	if st.Relay != nil {
		s.relay(st.Relay)
	}
	return errors.Join(s.queues(st.Queues), s.retries(st.Retries), s.parked(st.Parked), s.pauses(st.Pauses), s.errors(st.Errors), s.remarks(st))
}

func (s *statusScreen) relay(r *status.Relay) {
	leader := r.Leader
	if leader == "" {
		leader = r.LeaderNote
	}
	report(s.w, "\nRelay")
	report(s.w, "  leader     %s", terminal.Printable(leader))
	report(s.w, "  lag        %s", r.Lag)
	due := r.Due.String()
	if r.OldestDue != nil {
		due += ", the oldest since " + r.OldestDue.UTC().Format(time.RFC3339)
	}
	report(s.w, "  due        %s", due)
	report(s.w, "  scheduled  %s", r.Scheduled)
	if r.NeverDue.N > 0 {
		report(s.w, "  never due  %s", r.NeverDue)
	}
}

// table prints a section with one row for each item.
func table[T any](s *statusScreen, title string, items []T, columns []string, cells func(*T) []string) error {
	if len(items) == 0 {
		return nil
	}
	report(s.w, "\n%s", title)
	l := s.o.List(indent{s.w}, output.Columns(columns...)...)
	for i := range items {
		if err := l.Add(nil, cells(&items[i])...); err != nil {
			return err
		}
	}
	return l.Close()
}

func (s *statusScreen) queues(list []status.Queue) error {
	return table(s, "Queues", list, []string{"QUEUE", "MESSAGES", "CONSUMERS", "ROLE"}, func(q *status.Queue) []string {
		if q.Missing {
			return []string{q.Name, "-", "-", "does not exist"}
		}
		return []string{q.Name, fmt.Sprint(q.Messages), fmt.Sprint(q.Consumers), q.Role}
	})
}

func (s *statusScreen) retries(list []status.Retries) error {
	return table(s, "Retries", list, []string{"CONSUMER", "WAITING", "BEHIND", "RUNNING", "OVERDUE"}, func(r *status.Retries) []string {
		name := r.Consumer
		if !r.Own {
			name += " (not of these settings)"
		}
		return []string{name, r.Waiting.String(), r.Behind.String(), r.Running.String(), r.Overdue.String()}
	})
}

func (s *statusScreen) parked(list []status.Parked) error {
	return table(s, "Parked", list, []string{"PLACE", "NAME", "MESSAGES", "OLDEST"}, func(p *status.Parked) []string {
		name, oldest := p.Name, p.Oldest.String()
		if name == "" {
			name = "-"
		}
		if p.Oldest == 0 {
			oldest = "-"
		}
		return []string{p.Place, name, p.Count.String(), oldest}
	})
}

func (s *statusScreen) pauses(list []status.Pause) error {
	return table(s, "Paused by operators", list, []string{"WHAT", "UNTIL", "BY", "REASON"}, func(p *status.Pause) []string {
		return []string{p.What, timeText(p.Until, time.RFC3339), p.By, cell(s.o, p.Reason)}
	})
}

// errorCell is the length of an error in a table; -o wide and parked show have the rest.
const errorCell = 80

func (s *statusScreen) errors(list []status.LastError) error {
	return table(s, "Last errors", list, []string{"ID", "TIME", "STATE", "ROUTE", "ERROR"}, func(e *status.LastError) []string {
		return []string{e.ID, timeText(e.At, time.RFC3339), e.State, e.Route, cell(s.o, e.Error)}
	})
}

// cell shortens a text for a table that is not wide.
func cell(o *output.Options, text string) string {
	if r := []rune(text); o.Format() == output.Table && len(r) > errorCell {
		return string(r[:errorCell-1]) + "…"
	}
	return text
}

func (s *statusScreen) remarks(st *status.Status) error {
	if len(st.Problems)+len(st.Unknown) > 0 {
		report(s.w, "\nProblems")
	}
	for _, p := range st.Problems {
		report(s.w, "  %s", s.style.Red(terminal.Printable(p)))
	}
	for _, u := range st.Unknown {
		report(s.w, "  %s", s.style.Red(terminal.Printable("cannot determine "+u)))
	}
	return nil
}

// An indent writes whole lines with two spaces before each.
type indent struct{ w io.Writer }

func (i indent) Write(lines []byte) (int, error) {
	start := true
	var out []byte
	for _, b := range lines {
		if start {
			out = append(out, "  "...)
		}
		start = b == '\n'
		out = append(out, b)
	}
	if _, err := i.w.Write(out); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// Terminal returns the output itself, for the choice of colours.
func (i indent) Terminal() any { return i.w }
