package command

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

// keepGroups keeps three parked deliveries of mail in two groups.
func keepGroups(t *testing.T, s *service.Service) (large, small string) {
	t.Helper()
	large, small = parley.Fingerprint("user", "renamed", "user 7: gone"), parley.Fingerprint("user", "renamed", "timeout")
	var list []parley.Failure
	for _, f := range []struct{ group, text string }{{large, "user 7: gone"}, {small, "timeout"}, {large, "user 8: gone"}} {
		list = append(list, parley.Failure{
			Message: parley.Message{Exchange: "user", RoutingKey: "renamed", Body: []byte("{}")}, State: parley.FailureParked, Fingerprint: f.group,
			History: parley.History{Attempts: 3, LastError: f.text + "\x1b[2J"},
		})
	}
	if _, err := s.Database().Failures().Keep(t.Context(), "mail", list); err != nil {
		t.Fatal(err)
	}
	return large, small
}

func TestGroupsAreListedReplayedDroppedAndLogged(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			large, small := keepGroups(t, s)
			out := mustCall(t, ExitOK, "parked", "groups", flag)
			wantText(t, out, large[:groupShown]+"  2", small[:groupShown]+"  1", "mail", "user 8: gone", "timeout")
			if strings.Contains(out, "\x1b") || strings.Index(out, large[:groupShown]) > strings.Index(out, small[:groupShown]) {
				t.Errorf("want the largest group first, and no control characters:\n%q", out)
			}
			wantText(t, mustCall(t, ExitOK, "parked", "replay", "--group", large[:8], "--rate", "1000/s", "--note", "ticket 7", flag), "replayed 2 of 2")
			wantText(t, mustCall(t, ExitUsage, "parked", "drop", "--group", small, "--all", flag), "--group replaces ids and filters")
			wantText(t, mustCall(t, ExitOK, "parked", "drop", "--group", small, "--yes", flag), "dropped 1")
			wantText(t, mustCall(t, ExitFailed, "parked", "drop", "--group", small, "--yes", flag), "no parked delivery in group")
			log := mustCall(t, ExitOK, "log", flag)
			wantText(t, log, "replay", "2 of 2", "group="+large, "ticket 7", "drop", "group="+small)
			wantText(t, mustCall(t, ExitOK, "log", "--limit", "1", "--json", flag), `"action":"drop"`, `"messages":1`)
			wantText(t, mustCall(t, ExitUsage, "parked", "replay", "--canary", "1", "--all", flag), "--canary", "--group")
		})
	}
}

// The command is killed while it waits for the first message. It is called again, and continues.
func TestAReplayOfAGroupStopsAtItsCanaryAndIsInTheLog(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	large, _ := keepGroups(t, s)
	store := s.Database().Failures()
	q := parley.FailureQuery{Consumer: "mail", Fingerprint: large}
	_, err := parley.ReplayFailures(asOperator(t.Context(), "", 0), store, s.Database(), q, parley.ReplayOptions{Canary: 1, CanaryTimeout: time.Nanosecond})
	if err == nil {
		t.Fatal("the replay did not wait for its first message")
	}
	wantText(t, mustCall(t, ExitOK, "log", "--running", flag), "running", "1 of 2")
	c := claimOne(t, s, "mail")
	if err := store.Settle(t.Context(), c.FailureClaim, parley.FailureOutcome{Action: parley.FailurePark, History: c.History, Fingerprint: large}); err != nil {
		t.Fatal(err)
	}
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", "--group", large, "--canary", "1", flag), "continued action", "the first message failed again")
	wantText(t, mustCall(t, ExitOK, "log", flag), "stopped", "1 of 2")
}
