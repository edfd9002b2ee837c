package command

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
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

func TestEditsAreLoggedWithBothBodies(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "mail", kept{state: parley.FailureParked, body: `{"a": 1}`})
	file := servicetest.WriteFile(t, "body.json", `{"a": 2}`)
	mustCall(t, ExitOK, "parked", "edit", ids[0], "--file", file, "--raw", "--yes", flag)
	wantText(t, mustCall(t, ExitOK, "log", "--id", "1", flag), "edit", `before: {"a": 1}`, `after:  {"a":2}`)
	wantText(t, mustCall(t, ExitFailed, "log", "--id", "9", flag), "no action 9")
}

func TestChangesOfScheduledMessagesAreLogged(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			ids := make([]string, 3)
			err := s.InTx(t.Context(), func(tx *service.Tx) error {
				for i := range ids {
					id, err := parley.Publish(t.Context(), s.Outbox.In(tx), parley.NewEvent[string]("user", "remind"), "x", parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(parley.Tags{"n": i}))
					if err != nil {
						return err
					}
					ids[i] = num(id)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			selected := []string{"--exchange", "user", "--routing-key", "remind", "--tag", "n=0", flag}
			mustCall(t, ExitOK, append([]string{"scheduled", "reschedule", "--to", "+2h", "--dry-run"}, selected...)...)
			mustCall(t, ExitOK, append([]string{"scheduled", "reschedule", "--to", "+2h", "--note", "ticket 7"}, selected...)...)
			mustCall(t, ExitOK, "scheduled", "cancel", ids[1], ids[2], flag)
			mustCall(t, ExitFailed, "scheduled", "cancel", ids[0], ids[1], flag)
			log, err := s.Database().Actions(t.Context(), parley.ActionQuery{})
			if err != nil || len(log) != 3 {
				t.Fatalf("%d entries (%v), want one for each call that is no dry run: %+v", len(log), err, log)
			}
			if a := log[2]; a.Name != parley.ActionMoveScheduled || a.Changed != 1 || a.Reason != "ticket 7" || !strings.HasPrefix(a.Filter, "exchange=user routing_key=remind tag.n=0 to=") || a.By == "" {
				t.Errorf("the move is logged as %+v", a)
			}
			if a := log[1]; a.Name != parley.ActionCancelScheduled || a.Changed != 2 || a.Filter != "ids="+ids[1]+","+ids[2] || a.State != parley.ActionDone {
				t.Errorf("the cancellation of two is logged as %+v", a)
			}
			if a := log[0]; a.Changed != 0 || a.State != parley.ActionStopped {
				t.Errorf("the cancellation of a missing one is logged as %+v", a)
			}
		})
	}
}

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

func TestPausesThatCannotBeAreUsageErrors(t *testing.T) {
	flag := sqliteURL(t)
	wantText(t, mustCall(t, ExitUsage, "pause", "relay", flag), "--for")
	wantText(t, mustCall(t, ExitUsage, "pause", "consumer", "--for", "1h", flag), "--queue or --routing-key")
	wantText(t, mustCall(t, ExitUsage, "pause", "consumer", "--for", "1h", "--queue", "a", "--routing-key", "b", flag), "not both")
	wantText(t, mustCall(t, ExitUsage, "pause", "relay", "--for", "1h"), "database.url")
}
