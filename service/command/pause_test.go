package command

import (
	"strings"
	"testing"
)

func TestPausesAreSetListedCheckedAndEnded(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			wantText(t, mustCall(t, ExitOK, "pause", "relay", "--exchange", "shop", "--for", "30m", "--reason", "ticket 7", flag), "paused relay exchange shop until")
			mustCall(t, ExitOK, "pause", "consumer", "--routing-key", "order.#", "--for", "1h", flag)
			mustCall(t, ExitOK, "pause", "consumer", "--queue", "mail", "--for", "1h", flag)
			wantText(t, mustCall(t, ExitOK, "pauses", flag), "relay exchange shop", "ticket 7", "consumer routing key order.#", "consumer queue mail")
			wantText(t, mustCall(t, ExitOK, "check", flag), "paused: relay exchange shop until", "ticket 7")
			wantText(t, mustCall(t, ExitOK, "check", "--json", flag), `"pauses":[{`)
			wantText(t, mustCall(t, ExitOK, "status", flag), "3 paused", "Paused by operators", "relay exchange shop", "ticket 7")
			wantText(t, mustCall(t, ExitOK, "resume", "relay", "--exchange", "shop", flag), "resumed relay exchange shop")
			wantText(t, mustCall(t, ExitOK, "resume", "consumer", "--routing-key", "order.#", flag), "0 messages are due again")
			wantText(t, mustCall(t, ExitFailed, "resume", "relay", flag), "not paused")
			if out := mustCall(t, ExitOK, "pauses", flag); strings.Contains(out, "shop") || !strings.Contains(out, "queue mail") {
				t.Errorf("after the resumes:\n%s", out)
			}
			wantText(t, mustCall(t, ExitOK, "log", flag), "pause", "relay exchange shop for 30m0s", "resume")
		})
	}
}

func TestAPauseOfAnUnknownNameIsWarnedOf(t *testing.T) {
	flag := sqliteURL(t)
	t.Setenv("PARLEY_QUEUE", "mail")
	t.Setenv("PARLEY_BINDS", "shop")
	t.Setenv("PARLEY_EXCHANGES", "shop")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"relay", "--exchange", "shpo"}, `no exchange "shpo": did you mean shop?`},
		{[]string{"relay", "--exchange", "shop"}, ""},
		{[]string{"relay"}, ""},
		{[]string{"consumer", "--queue", "mial"}, `no queue "mial": did you mean mail?`},
		{[]string{"consumer", "--queue", "mail"}, ""},
	} {
		code, _, errs := call(t, append(append([]string{"pause"}, c.args...), "--for", "1h", flag)...)
		if code != ExitOK || c.want == "" && errs != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v: code %d, stderr %q, want %q", c.args, code, errs, c.want)
		}
	}
}

func TestPausesThatCannotBeAreUsageErrors(t *testing.T) {
	flag := sqliteURL(t)
	wantText(t, mustCall(t, ExitUsage, "pause", "relay", flag), "--for")
	wantText(t, mustCall(t, ExitUsage, "pause", "consumer", "--for", "1h", flag), "--queue or --routing-key")
	wantText(t, mustCall(t, ExitUsage, "pause", "consumer", "--for", "1h", "--queue", "a", "--routing-key", "b", flag), "not both")
	wantText(t, mustCall(t, ExitUsage, "pause", "relay", "--for", "1h"), "database.url")
}
