package service

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestChangesOfTheLeadAreLoggedOnceAMinuteWithTheirCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out syncBuffer
		l := newStateLog(slog.New(slog.NewTextHandler(&out, nil)))
		lines := func() int { return strings.Count(out.String(), "\n") }
		l.changed(parley.RelayActive)
		l.changed(parley.RelayStandby)
		if lines() != 2 {
			t.Fatalf("the first change is not logged at once:\n%s", out.String())
		}
		for range 20 {
			time.Sleep(time.Second)
			l.changed(parley.RelayActive)
			time.Sleep(time.Second)
			l.changed(parley.RelayStandby)
		}
		if lines() != 2 {
			t.Errorf("more than one change is logged within a minute:\n%s", out.String())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if lines() != 3 || !strings.Contains(out.String(), `msg="relay: standby" changes_of_the_lead=40`) {
			t.Errorf("after the minute, the count and the state are not in the log:\n%s", out.String())
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		l.changed(parley.RelayActive)
		if lines() != 4 {
			t.Errorf("a change after quiet minutes is not logged at once:\n%s", out.String())
		}
		l.changed(parley.RelayWaitsBroker)
		l.changed(parley.RelayActive)
		l.changed(parley.RelayStopped)
		if lines() != 7 {
			t.Errorf("states that do not concern the lead are not all logged:\n%s", out.String())
		}
	})
}
