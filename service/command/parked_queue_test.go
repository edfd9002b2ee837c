package command

import (
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

// idsOf returns the ids with a letter from the first column of a list.
func idsOf(list string, letter byte) []string {
	var out []string
	for line := range strings.Lines(list) {
		if id, _, ok := strings.Cut(line, " "); ok && len(id) > 1 && id[0] == letter && id != "other" && checkID(id) == nil {
			out = append(out, id)
		}
	}
	return out
}

func TestMessagesInAParkedQueueAreListedEditedReplayedAndDropped(t *testing.T) {
	name, url := testenv.Unique(t, "parley_parked"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	parked := func(args ...string) string {
		return mustCall(t, ExitOK, append(append([]string{"parked"}, args...), "--broker-url="+url, "--queue="+name)...)
	}
	handled := failThenPark(t, settings.URL(url), name, 3)
	list := parked("ls")
	wantText(t, list, "renamed", `not now\x1b[2J`)
	ids := idsOf(list, queueLetter)
	if len(ids) != 3 {
		t.Fatalf("%d messages are parked, want 3:\n%s", len(ids), list)
	}
	wantText(t, parked("ls", "--json", "--limit=1"), `"id":"`+ids[0], `"verified":true`, "continue with --after "+ids[0])
	if rest := idsOf(parked("ls", "--after="+ids[0]), queueLetter); len(rest) != 2 {
		t.Errorf("after the first, the list has %q, want the two others", rest)
	}
	wantText(t, parked("show", ids[0]), "failed attempts", "history verified", "true", `"payload": {`)
	wantText(t, parked("drop", ids[0], "--yes"), "dropped 1")
	parked("edit", ids[1], "--yes", "--file", servicetest.WriteFile(t, "body", `{"id": 99}`))
	wantText(t, parked("replay", "--all", "--rate=100/s"), "replayed 1")
	got := handled()
	if got[99] != 1 || len(got) != 2 {
		t.Errorf("handled %v after the replay, want user 99 and one other, once each", got)
	}
}

func TestABrokerThatIsUnreachableDoesNotHideWhatIsInTheDatabase(t *testing.T) {
	flag := sqliteURL(t)
	park(t, openFlag(t, flag), 1, "refused")
	flags := []string{flag, "--broker-url=amqp://127.0.0.1:1/", "--queue=orders"}
	wantText(t, mustCall(t, ExitOK, append(flags, "parked", "show", "o1")...), "refused")
	wantText(t, mustCall(t, ExitOK, append(flags, "check", "--timeout=1s", "--max-delay=1h")...), "note: parked queue: cannot determine")
	wantText(t, mustCall(t, ExitUsage, append(flags, "check", "--timeout=1s", "--max-delay=1h", "--max-parked=5")...), "cannot determine", "orders.parked")
}

// Once, no command could replay messages that were parked before a change of the secret.
func TestAfterAChangeOfTheSecretParkedMessagesCanStillBeReplayed(t *testing.T) {
	name, url := testenv.Unique(t, "parley_parked"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	t.Setenv("PARLEY_CONSUMER_SECRETS", "the secret of last year")
	handled := failThenPark(t, settings.URL(url), name, 2)
	flags := []string{"--broker-url=" + url, "--queue=" + name, "parked"}
	t.Setenv("PARLEY_CONSUMER_SECRETS", "")
	t.Setenv("PARLEY_CONSUMER_SECRETS", "the secret of this year")
	list := mustCall(t, ExitOK, append(flags, "ls")...)
	ids := idsOf(list, queueLetter)
	if len(ids) != 2 {
		t.Fatalf("%d messages are parked, want 2:\n%s", len(ids), list)
	}
	wantText(t, mustCall(t, ExitFailed, append(flags, "replay", "--all")...), "replayed 0", "skipped 2 messages: retry history not verified", "consumer.secrets", "--unverified")
	wantText(t, mustCall(t, ExitFailed, append(flags, "edit", ids[0], "--file", servicetest.WriteFile(t, "body", "{}"))...), "not verified", "--unverified")
	wantText(t, mustCall(t, ExitOK, append(flags, "replay", ids[0], "--unverified")...), "replayed 1")
	t.Setenv("PARLEY_CONSUMER_SECRETS", "the secret of this year,the secret of last year")
	wantText(t, mustCall(t, ExitOK, append(flags, "replay", ids[1])...), "replayed 1")
	if got := handled(); len(got) != 2 {
		t.Errorf("handled %v, want both messages", got)
	}
}
