package command

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestScheduledMessagesAreListedCancelledAndMovedByTags(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	due := time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)
	for id := range int64(3) {
		publish(t, s, remind, id, parley.WithDueAt(due.Add(time.Duration(id)*time.Hour)), parley.WithTags(parley.Tags{"user_id": id, "evil": "\x1b[2J\n"}))
	}
	list := mustCall(t, ExitOK, "scheduled", "ls", flag)
	wantText(t, list, "2100-01-02T03:04:05Z", "remind.photo", `evil=\x1b[2J\n user_id=0`, "user_id=2")
	if strings.ContainsRune(list, 0x1b) {
		t.Error("the list sends an escape sequence to the terminal")
	}
	at := []string{"--exchange=user", "--routing-key=remind.photo"}
	one := mustCall(t, ExitOK, append(at, "scheduled", "ls", flag, "--tag=user_id=1", "--json")...)
	if strings.Count(one, "\n") != 1 || !strings.Contains(one, `"payload":{"id":1}`) {
		t.Errorf("want one line of JSON about user 1:\n%s", one)
	}
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "cancel", flag, "--tag=user_id=1", "--dry-run")...), "would have cancelled 1")
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "cancel", flag, "--tag=user_id=1")...), "cancelled 1")
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "cancel", flag, "--tag=user_id=1")...), "cancelled 0")
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "reschedule", flag, "--tag=user_id=2", "--to=2090-01-01T00:00:00Z")...), "moved 1")
	wantText(t, mustCall(t, ExitOK, "scheduled", "ls", flag, "--limit=1"), "2090-01-01T00:00:00Z")
	id := strings.Fields(strings.Split(mustCall(t, ExitOK, "scheduled", "ls", flag), "\n")[1])[0]
	wantText(t, mustCall(t, ExitOK, "scheduled", "show", flag, id), "due at", "2090-01-01T00:00:00Z", "user_id=2", `"payload": {`)
	wantText(t, mustCall(t, ExitOK, "scheduled", "show", flag, id, "-o", "yaml"), "due_at: \"2090-01-01T00:00:00Z\"", "user_id: \"2\"")
	wantText(t, mustCall(t, ExitOK, "scheduled", "reschedule", flag, id, "--to=2091-01-01T00:00:00Z"), "moved 1")
	wantText(t, mustCall(t, ExitFailed, "scheduled", "cancel", flag, id, "999"), "no scheduled message has the id 999", "nothing was cancelled")
	wantText(t, mustCall(t, ExitOK, "scheduled", "cancel", flag, id, "--dry-run"), "would have cancelled 1")
	wantText(t, mustCall(t, ExitOK, "scheduled", "show", flag, id), "2091-01-01T00:00:00Z")
	wantText(t, mustCall(t, ExitOK, "scheduled", "cancel", flag, id), "cancelled 1")
	wantText(t, mustCall(t, ExitFailed, "scheduled", "show", flag, id), "it was sent or cancelled, or never existed")
	wantText(t, mustCall(t, ExitUsage, "scheduled", "cancel", flag, "o12"), "is not the number of a scheduled message")
	wantText(t, mustCall(t, ExitUsage, append(at, "scheduled", "cancel", flag, "7", "--tag=a=b")...), "not both")
	mustCall(t, ExitUsage, append(at, "scheduled", "cancel", flag)...)
	mustCall(t, ExitUsage, append(at, "scheduled", "reschedule", flag, "--tag=a=b", "--to=tomorrow")...)
}
