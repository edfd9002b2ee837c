package command

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/internal/output"
)

// An exitMeaning says what the exit codes of a command mean.
type exitMeaning struct{ command, ok, failed, usage string }

// exitMeanings are the exit codes of all commands. docs/operations.md has the same table.
var exitMeanings = []exitMeaning{
	{"every command", "success", "failure: the error is on standard error", "the command line or the settings are wrong"},
	{"run, consumer, relay", "stopped by a signal, after a graceful shutdown", "the process cannot go on", "the same"},
	{"relay --once", "every due record was published, except those of paused exchanges", "some were dropped, parked, kept or rejected, or the whole relay is paused", "the same"},
	{"consumer --drain", "no delivery waits, except behind a parked one", "a delivery still waits or runs, or the queue is paused", "the same; failed deliveries are kept in queues"},
	{"check", "healthy", "unhealthy", "cannot determine, or the settings are wrong"},
	{"status", "something could be read", "nothing could be read", "the same"},
	{"doctor", "no problem (there may be warnings)", "a problem was found", "the same"},
	{"migrate status", "all migrations are applied", "a migration is pending", "the same"},
	{"topology plan", "exchanges and queues are as wanted", "one is missing or differs", "the same"},
	{"settings check", "the settings are valid", "-", "the settings are wrong"},
	{"send, publish --direct", "a queue has the message", "unroutable, rejected or unconfirmed", "the same"},
	{"parked replay, parked drop", "all selected messages were changed", "some were skipped or not found, or the answer was no", "the same; without a terminal, --yes is missing"},
	{"parked edit", "stored, or unchanged", "the new text is invalid, or the answer was no", "the same; without a terminal, --yes is missing"},
	{"scheduled cancel, scheduled reschedule", "changed, also if no message has the tags", "an id is not scheduled: nothing was changed", "the same"},
}

// exitCodesTopic returns the help topic exit-codes.
func exitCodesTopic() *cobra.Command {
	var out bytes.Buffer
	var o output.Options
	list := o.List(&out, output.Columns("COMMAND", "0", "1", "2")...)
	for _, m := range exitMeanings {
		must(list.Add(nil, m.command, m.ok, m.failed, m.usage))
	}
	must(list.Close())
	return &cobra.Command{Use: "exit-codes", Short: "the exit codes of all commands", Long: "Exit codes of all commands:\n\n" + out.String()}
}
