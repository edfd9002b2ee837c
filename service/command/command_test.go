package command

import (
	"testing"
)

func TestWrongCommandLinesExitWith2AndAHint(t *testing.T) {
	wantText(t, mustCall(t, ExitUsage, "rely"), `unknown command "rely": did you mean relay?`)
	wantText(t, mustCall(t, ExitUsage, "migrate", "upp"), `did you mean up?`)
	wantText(t, mustCall(t, ExitUsage, "migrate", "up", "now"), `unexpected argument "now"`)
	wantText(t, mustCall(t, ExitUsage, "relay", "--mode=chaos"), `flag --mode: "chaos" is not known (use ordered or parallel)`)
	wantText(t, mustCall(t, ExitUsage, "relay"), "database.url: is missing", "broker.url: is missing")
	wantText(t, mustCall(t, ExitUsage, "scheduled", "ls", "--exchange=x"), "must be given together")
	wantText(t, mustCall(t, ExitUsage, "parked", "drop"), "give ids or a filter, or --all")
	wantText(t, mustCall(t, ExitUsage, "parked", "show"), "give the id")
}

func TestAPasswordThatIsAWordOfTheHelpChangesNoExitCode(t *testing.T) {
	for _, password := range []string{"parley", "parked", "retries"} {
		out := mustCall(t, ExitUsage, "parked", "ls", "--waiting", "--queue=q", "--broker-url=amqp://u:"+password+"@127.0.0.1:1/")
		wantText(t, out, "retries in retry queues cannot be listed", `"parley parked ls --help"`)
	}
}
