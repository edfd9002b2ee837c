package command

import (
	"context"
	"errors"
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

func TestAReplayOfAGroupSkipsExpiredCommandsUnlessForced(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			const group = "0123456789abcdef0123456789abcdef"
			late := kept{state: parley.FailureParked, group: group, kind: parley.KindCommand, body: `{"a": 1, "meta": {"expiredTime": "2020-01-02T03:04:05.000Z"}}`}
			fresh := kept{state: parley.FailureParked, group: group}
			keep(t, s, "orders", late, fresh, late, fresh, late)
			replay := []string{"parked", "replay", "--group", group[:8], flag}
			skipped := []string{"skipped 3 messages: they have expired", "--force"}
			wantText(t, mustCall(t, ExitFailed, append(replay, "--dry-run")...), append(skipped, "would have replayed 2")...)
			wantText(t, mustCall(t, ExitUsage, append(replay, "--unverified")...), "--unverified does not apply to --group")
			wantText(t, mustCall(t, ExitUsage, append(replay, "--force", "--canary=1")...), "--force or --canary, not both")
			wantText(t, mustCall(t, ExitFailed, append(replay, "--rate=1000/s")...), append(skipped, "replayed 2 of 5")...)
			if st, err := s.Database().Failures().Stats(t.Context(), "orders"); err != nil || st.Parked != 3 || st.Waiting != 2 {
				t.Errorf("the table has %+v (%v), want the 3 expired commands parked and 2 waiting", st, err)
			}
			wantText(t, mustCall(t, ExitOK, append(replay, "--force", "--dry-run")...), "would have replayed 3")
			wantText(t, mustCall(t, ExitOK, append(replay, "--force")...), "replayed 3 of 3")
		})
	}
}

// leaveUnfinished begins a replay of a group, as a command that is killed. Its deliveries are replayed.
func leaveUnfinished(t *testing.T, s *service.Service, consumer, group string) {
	t.Helper()
	row := kept{state: parley.FailureParked, group: group}
	keep(t, s, consumer, row)
	ctx, kill := context.WithCancel(asOperator(t.Context(), "", 0))
	defer kill()
	_, err := parley.ReplayFailures(ctx, s.Database().Failures(), s.Database(), parley.FailureQuery{Consumer: consumer, Fingerprint: group}, parley.ReplayOptions{
		Every: time.Hour, Progress: func(p parley.ReplayProgress) {
			if p.Replayed > 0 {
				kill()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the killed replay: %v", err)
	}
}

func TestAnUnfinishedReplayOfAnotherConsumerIsNotContinued(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	const group = "0123456789abcdef0123456789abcdef"
	leaveUnfinished(t, s, "orders", group)
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", "--group", group, "--consumer", "mail", flag), "no parked delivery in group")
	leaveUnfinished(t, s, "my mail", group)
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", "--group", group, flag), "2 unfinished replays are of groups that begin with", "--consumer")
	wantText(t, mustCall(t, ExitFailed, "parked", "drop", "--group", group, "--yes", flag), "no parked delivery in group")
	wantText(t, mustCall(t, ExitOK, "log", "--running", flag), "orders", "my mail")
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "--group", group, "--consumer", "my mail", flag), "continued action", "replayed 1 of 1")
	running := mustCall(t, ExitOK, "log", "--running", flag)
	if strings.Contains(running, "my mail") || !strings.Contains(running, "orders") {
		t.Errorf("running actions:\n%s\nwant that of orders only", running)
	}
}

func TestAnAmbiguousGroupContinuesNoUnfinishedReplay(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	leaveUnfinished(t, s, "orders", "01aa")
	keep(t, s, "orders", kept{state: parley.FailureParked, group: "01bb"}, kept{state: parley.FailureParked, group: "01cc"})
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", "--group", "01", flag), `2 groups begin with "01"`)
}

func TestTheConditionsOfAnActionAreReadWithTheirQuotes(t *testing.T) {
	for _, q := range []parley.FailureQuery{
		{Consumer: "mail", Fingerprint: "1a2b"},
		{Consumer: "my mail", Fingerprint: "1a2b", States: []parley.FailureState{parley.FailureParked}},
		{Consumer: `a="b c" group=ff`, Fingerprint: "1a2b"},
		{Consumer: "'x", Fingerprint: "1a2b"},
		{Consumer: "`x`", Fingerprint: "1a2b"},
	} {
		if got := filterWords(q.String()); got["consumer"] != q.Consumer || got["group"] != q.Fingerprint {
			t.Errorf("%s was read as %q", q, got)
		}
	}
	for _, text := range []string{"", "all", "=", "a=", `a="b`, "ids=1,2"} {
		filterWords(text) // ends
	}
}
