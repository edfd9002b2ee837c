package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

// park publishes n events and parks their records as a relay does.
func park(t *testing.T, s *service.Service, n int64, reason string) {
	t.Helper()
	for id := range n {
		publish(t, s, renamed, id+1)
	}
	b, err := s.Database().Claim(t.Context(), parley.ClaimOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var parked []parley.Parked
	for _, r := range b.Records() {
		parked = append(parked, parley.Parked{Record: r, Reason: reason})
	}
	if _, err := b.Settle(t.Context(), nil, parked); err != nil {
		t.Fatal(err)
	}
}

func TestParkedRecordsAreListedShownEditedReplayedAndDropped(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	park(t, s, 3, "refused\x1b]0;title\a")
	list := mustCall(t, ExitOK, "parked", "ls", flag, "--limit=2")
	wantText(t, list, `refused\x1b]0;title\a`, "renamed", "continue with --after o2")
	if strings.ContainsRune(list, 0x1b) {
		t.Error("the list sends an escape sequence to the terminal")
	}
	if rest := mustCall(t, ExitOK, "parked", "ls", flag, "--after=o2"); !strings.Contains(rest, "o3 ") || strings.Contains(rest, "o2 ") {
		t.Errorf("after o2 the list does not contain o3 only:\n%s", rest)
	}
	wantText(t, mustCall(t, ExitOK, "parked", "show", "o2", flag), "reason", `"eventId": 2`, `"payload": {`)
	body := servicetest.WriteFile(t, "body.json", `{"fixed": true}`)
	wantText(t, mustCall(t, ExitUsage, "parked", "edit", "o2", "--file", body, flag), "-   \"id\": 2", "+   \"fixed\": true", "--yes is required without a terminal")
	mustCall(t, ExitOK, "parked", "edit", "o2", "--file", body, "--yes", flag)
	wantText(t, mustCall(t, ExitOK, "parked", "export", "o2", flag), `"payload":{"fixed":true}`, `"eventId":2`, `"eventType":"renamed"`)
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "o2", "--dry-run", flag), "would have replayed 1")
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "o2", flag), "replayed 1")
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", "o2", flag), "replayed 0", "not found: 1 of 1 ids")
	wantText(t, mustCall(t, ExitOK, "parked", "drop", "--routing-key=other.*", flag), "dropped 0")
	wantText(t, mustCall(t, ExitOK, "parked", "drop", "--routing-key=re*", "--reason=refused", "--yes", flag), "dropped 2")
	wantText(t, mustCall(t, ExitOK, "check", flag, "--max-parked=0", "--max-delay=1h"), "due 1", "parked 0")
	wantText(t, mustCall(t, ExitFailed, "parked", "show", "o2", flag), "no parked message has the id")
	mustCall(t, ExitUsage, "parked", "replay", "--all", "--reason=x", flag)
}

func TestParkedCommandsGoThroughMoreThanOnePage(t *testing.T) {
	flag := sqliteURL(t)
	park(t, openFlag(t, flag), parkedPage/2, "first")
	park(t, openFlag(t, flag), parkedPage, "second")
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "--reason=second", flag), fmt.Sprintf("replayed %d", parkedPage))
	wantText(t, mustCall(t, ExitOK, "parked", "drop", "--all", "--yes", flag), fmt.Sprintf("dropped %d", parkedPage/2))
}
