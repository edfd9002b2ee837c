package command

import (
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

func TestDroppingNeedsYesWithoutATerminal(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "orders", parkedRow, parkedRow, parkedRow)
	for _, args := range [][]string{{"--all"}, {ids[0], ids[1]}, {ids[0]}, {"--reason=gave"}} {
		args = append([]string{"parked", "drop", flag, "--queue=orders"}, args...)
		wantText(t, mustCall(t, ExitUsage, args...), ": --yes is required")
		mustCall(t, ExitOK, append(args, "--dry-run")...)
	}
	if rows, err := s.Database().Failures().List(t.Context(), parley.FailureQuery{}, 0, 10); err != nil || len(rows) != 3 {
		t.Errorf("%d rows are left (%v), want all three", len(rows), err)
	}
	wantText(t, mustCall(t, ExitOK, "parked", "drop", ids[0], "--yes", flag), "dropped 1")
	wantText(t, mustCall(t, ExitOK, "parked", "drop", ids[1], ids[2], "--yes", flag), "dropped 2")
}

func TestAReplayWithARateSpacesOutTheDueTimesAndEnds(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	keep(t, s, "orders", parkedRow, parkedRow, parkedRow)
	start := time.Now()
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "--all", "--rate=1/m", flag, "--queue=orders"), "replayed 3")
	if took := time.Since(start); testenv.Late(t, took, 30*time.Second) {
		t.Errorf("the command took %v, want it to end without waiting", took)
	}
	rows, err := s.Database().Failures().List(t.Context(), parley.FailureQuery{Consumer: "orders"}, 0, 10)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	for i := 1; i < 3; i++ {
		if gap := rows[i].DueAt.Sub(rows[i-1].DueAt); gap != time.Minute {
			t.Errorf("row %d is due %v after the one before, want 1m", i, gap)
		}
	}
	for _, rate := range []string{"many", "0/s", "-1/s", "5/d", "/s", "NaN/s"} {
		wantText(t, mustCall(t, ExitUsage, "parked", "replay", "--all", "--rate="+rate, flag), "is not a rate such as 50/s")
	}
}

func TestARateIsTheTimeBetweenTwoMessages(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "50/s": 20 * time.Millisecond, "50": 20 * time.Millisecond, "100/m": 600 * time.Millisecond, "1000/h": 3600 * time.Millisecond, "0.5/s": 2 * time.Second,
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q is one message every %v (%v), want %v", text, got, err, want)
		}
	}
}
