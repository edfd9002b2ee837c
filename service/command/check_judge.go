package command

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
)

// problems returns a text for each exceeded limit.
func (l *checkLimits) problems(st *checkedState) []string {
	out := []string{}
	if st.readOnly != "" {
		out = append(out, st.readOnly+" (connect to the primary; on PostgreSQL, list the hosts in database.url with target_session_attrs=read-write)")
	}
	if st.OldestDue > l.delay && st.Due > l.pending {
		out = append(out, fmt.Sprintf("%s due, the oldest for %v (is a relay running, and can it reach the broker?)", counted(st.Due, "event is", "events are"), st.OldestDue.Round(time.Millisecond)))
	}
	if st.NeverDue > 0 {
		out = append(out, counted(st.NeverDue, "row can never become due: it has no due time", "rows can never become due: they have no due time"))
	}
	for i := range st.consumers {
		c := &st.consumers[i]
		if c.OldestWaiting <= l.overdue {
			continue
		}
		hint := "is the consumer running, subscribed and not paused?"
		if !c.own {
			hint = fmt.Sprintf("does a process run this consumer? after a rename, run: parked move --consumer %q NEW", c.name)
		}
		out = append(out, fmt.Sprintf("retries of consumer %q are overdue, the oldest for %v (%s)", c.name, c.OldestWaiting.Round(time.Second), hint))
	}
	if n := st.parkedInAll(); l.parked >= 0 && n > l.parked {
		out = append(out, fmt.Sprintf("%s parked (list them with: parked ls)", counted(n, "message is", "messages are")))
	}
	return out
}

// counted returns texts such as "1 message is" and "2 messages are".
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// atMost formats a count of failed deliveries. The counts of the table stop at a cap.
func atMost(n int64) string {
	if n >= parley.FailureStatsCap {
		return fmt.Sprintf("%d or more", int64(parley.FailureStatsCap))
	}
	return fmt.Sprint(n)
}

func (l *checkLimits) judge(cmd *cobra.Command, st *checkedState, o *output.Options) error {
	problems := l.problems(st)
	err := o.Document(cmd.OutOrStdout(), st.object(problems), func(w io.Writer) error {
		st.write(w, problems)
		return nil
	})
	if err == nil && len(problems) > 0 {
		err = &exitError{code: ExitFailed}
	}
	return err
}

func (st *checkedState) write(out io.Writer, problems []string) {
	report(out, "due %d, oldest for %v; scheduled %d; parked %d", st.Due, st.OldestDue.Round(time.Millisecond), st.Scheduled, st.parkedInAll())
	for i := range st.consumers {
		report(out, "%s", terminal.Printable(st.consumers[i].line()))
	}
	if st.queue != nil && *st.queue > 0 {
		report(out, "parked queue: %d", *st.queue)
	}
	for i := range st.pauses {
		report(out, "paused: %s", terminal.Printable(pauseLine(&st.pauses[i])))
	}
	for _, n := range st.notes {
		report(out, "note: %s", terminal.Printable(n))
	}
	for _, p := range problems {
		report(out, "%s", output.StyleOf(out).Red("UNHEALTHY: "+terminal.Printable(p)))
	}
}

// line returns the state of the consumer's failed deliveries as a line of text.
func (c *consumerState) line() string {
	whose := ""
	if !c.own {
		whose = " (not the consumer of these settings)"
	}
	text := fmt.Sprintf("consumer %s%s: waiting %s, behind others %s, running %s, parked %s",
		c.name, whose, atMost(c.Waiting), atMost(c.Behind), atMost(c.Running), atMost(c.Parked))
	if c.OldestWaiting > 0 {
		text += fmt.Sprintf("; oldest overdue for %v", c.OldestWaiting.Round(time.Second))
	}
	if c.OldestParked > 0 {
		text += fmt.Sprintf("; oldest parked for %v", c.OldestParked.Round(time.Second))
	}
	return text
}

// object returns the state as a JSON object.
func (st *checkedState) object(problems []string) object {
	consumers, pauses := []any{}, []any{}
	for i := range st.pauses {
		pauses = append(pauses, pauseObject(&st.pauses[i]))
	}
	for i := range st.consumers {
		c := &st.consumers[i]
		consumers = append(consumers, object{
			"name": c.name, "own": c.own, "waiting": c.Waiting, "behind": c.Behind, "running": c.Running, "parked": c.Parked,
			"oldest_overdue_seconds": c.OldestWaiting.Seconds(), "oldest_parked_seconds": c.OldestParked.Seconds(),
		})
	}
	return object{
		"healthy": len(problems) == 0, "problems": problems, "notes": append([]string{}, st.notes...),
		"due": st.Due, "oldest_due_seconds": st.OldestDue.Seconds(), "scheduled": st.Scheduled, "never_due": st.NeverDue,
		"parked": st.parkedInAll(), "parked_outbox": st.Parked, "parked_consumers": st.parkedRows(), "parked_queue": st.queue,
		"consumers": consumers, "pauses": pauses,
	}
}

// pauseLine returns a pause as a line of text.
func pauseLine(p *parley.Pause) string {
	text := fmt.Sprintf("%s, by %s since %s", p.Text(), p.By, p.CreatedAt.UTC().Format(time.RFC3339))
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}
