package command

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/terminal"
)

func TestIDsWithoutTheirLetterAreRefusedWithAHint(t *testing.T) {
	for _, id := range []string{"12", "x12", "c", "c-1", "cx", "o0"} {
		wantText(t, mustCall(t, ExitUsage, "parked", "show", "--database-url=sqlite:x.db", id), "parked ls lists ids: o12")
	}
	wantText(t, mustCall(t, ExitUsage, "parked", "ls", "--waiting", "--outbox", "--database-url=sqlite:x.db"), "scheduled ls")
	wantText(t, mustCall(t, ExitUsage, "parked", "ls", "--all-consumers", "--outbox", "--database-url=sqlite:x.db"), "give one of")
	wantText(t, mustCall(t, ExitUsage, "parked", "ls"), "database.url: is missing")
	wantText(t, mustCall(t, ExitUsage, "parked", "ls", "--database-url=memory:"), "is in-process only")
	wantText(t, mustCall(t, ExitUsage, "parked", "move", "--consumer=a", "a", "--database-url=sqlite:x.db"), "both the old and the new name")
	wantText(t, mustCall(t, ExitUsage, "parked", "return", "--database-url=sqlite:x.db"), "--to-queue is required")
}

func TestEveryMessageCanBePrintedAsJSON(t *testing.T) {
	far := time.Unix(1<<45, 0)
	m := parley.Message{
		Exchange: "user", RoutingKey: "renamed", Timestamp: far, Body: []byte(`{"n": 1}`),
		Headers: map[string]any{
			"at": far, "early": time.Unix(-1<<45, 0), "zone": time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 25*3600)), "nan": math.NaN(),
			"list": []any{math.Inf(1), far, map[string]any{"deep": far}}, "bytes": []byte{0xff}, "text": "a\xffb", "none": nil,
		},
	}
	var out bytes.Buffer
	tail := &tail{out: &out}
	c := &cobra.Command{}
	tail.o.Add(c)
	if err := c.ParseFlags([]string{"--json"}); err != nil {
		t.Fatal(err)
	}
	if err := tail.print(parley.NewDelivery(m, "q", false, nil)); err != nil {
		t.Errorf("tail --json: %v", err)
	}
	history := &parley.History{FirstFailure: far, LastFailure: far}
	if err := terminal.WriteJSON(&out, exported(&parkedItem{id: "1", at: far, history: history, Message: &m})); err != nil {
		t.Errorf("parked export: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines {
		var got struct {
			Headers map[string]any
			Body    map[string]any
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Headers["at"] != "35184372088832 seconds since 1970" || got.Headers["nan"] != "NaN" || got.Body["n"] != 1.0 {
			t.Errorf("printed %s (%v)", line, err)
		}
	}
	if len(lines) != 2 {
		t.Errorf("printed %d lines, want 2", len(lines))
	}
}
